// Runs a sync from Node.js: a JSON document goes to `aios3sync job`, JSON lines come back.
//
//   node sync.mjs <directory> <s3://bucket/prefix> [--delete]
//
// AIOS3SYNC names the program and its first arguments; the default is "aios3sync".
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

/** Runs one job; calls `onEvent` with every event and resolves to the report. */
export async function sync(job, { onEvent = () => {}, signal } = {}) {
  const [program, ...first] = (process.env.AIOS3SYNC ?? "aios3sync").split(" ");
  const child = spawn(program, [...first, "job"], { stdio: ["pipe", "pipe", "inherit"], signal, killSignal: "SIGTERM" });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  ended.catch(() => {}); // awaited below; without this, a program that cannot be started ends this one at once
  child.stdin.on("error", () => {}); // the exit code says why the document was not read
  child.stdin.end(JSON.stringify(job));
  let report;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === "error") throw Object.assign(new Error(event.error), event);
    if (event.event === "finished") report = event.report;
    onEvent(event);
  }
  const code = await ended;
  if (report === undefined) throw new Error(`aios3sync ended with code ${code} and wrote no report`);
  return report;
}

function show(event) {
  const totals = `${event.done}/${event.total} files, ${event.bytes_done}/${event.bytes_total} bytes`;
  if (event.event === "uploaded" || event.event === "deleted") console.log(`${event.event} ${JSON.stringify(event.key)} (${totals})`);
  if (event.event === "progress" && event.total > 0) console.log(totals);
  if (event.event === "failed") console.error(`failed ${JSON.stringify(event.key)}: ${event.error}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [source, target, flag] = process.argv.slice(2);
  if (target === undefined) {
    console.error("usage: node sync.mjs <directory> <s3://bucket/prefix> [--delete]");
    process.exit(2);
  }
  try {
    const report = await sync({ source, target, syncDeletes: flag === "--delete" }, { onEvent: show });
    console.log(`uploaded ${report.uploaded}, kept ${report.kept}, deleted ${report.deleted}, failed ${report.failed}`);
    process.exitCode = report.exit_code;
  } catch (error) {
    console.error(error.message);
    process.exitCode = error.exit_code ?? 1;
  }
}
