import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Runs a program of Node's to its end and gives what it took; `directory` is for files of this function's. `stdout`: a
 * file's descriptor.
 */
export async function measure(args, directory, { stdout = "ignore", ...options } = {}) {
  const usageFile = join(directory, "usage.json");
  const report = join(directory, "report.mjs");
  writeFileSync(
    report,
    `import { writeFileSync } from "node:fs";
process.on("exit", () => writeFileSync(${JSON.stringify(usageFile)}, JSON.stringify(process.resourceUsage())));`,
  );
  const startedAt = performance.now();
  const child = spawn(process.execPath, ["--import", pathToFileURL(report).href, ...args], {
    ...options,
    stdio: ["ignore", stdout, "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, "close");
  const wallMs = performance.now() - startedAt;
  if (code !== 0) throw new Error(`${args.join(" ")} exited with ${code}: ${stderr}`);
  const usage = JSON.parse(readFileSync(usageFile, "utf8"));
  return { wallMs, cpuMs: (usage.userCPUTime + usage.systemCPUTime) / 1000, peakMib: usage.maxRSS / 1024 };
}
