import { closeSync, readdirSync, readFileSync } from "node:fs";
import { openBackground } from "../../transport/persist/background.ts";
import { READY } from "../../transport/persist/link.ts";
import { backgroundPlace } from "./place.ts";

/** Be the background process. Its only output is a line for the client that started it. */
export async function serve(): Promise<void> {
  closeInherited();
  // The client that started this process may be gone.
  process.stdout.on("error", () => {});
  process.on("SIGHUP", () => {});
  process.umask(0o077);
  let background: Awaited<ReturnType<typeof openBackground>>;
  try {
    background = await openBackground(backgroundPlace());
  } catch (thrown) {
    process.stdout.write(`${(thrown as Error).message}\n`);
    process.exitCode = 1;
    return;
  }
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => background.close());
  process.stdout.write(`${READY}\n`);
  background.attend(process.stdin);
  await background.ended;
  // The client may hold it open.
  process.stdin.destroy();
}

const CLOSE_ON_EXEC = 0o2_000_000;

/**
 * Close the files that the client has passed on besides its pipes, such as a lock, or a pipe whose reader waits for its
 * end: they would stay open as long as this process. Node's own are those that a new program would not get. Without effect
 * where the kernel does not list them.
 */
function closeInherited(): void {
  for (const name of descriptors()) {
    if (Number(name) <= 2) continue;
    try {
      const [, flags] = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, "utf8")) ?? [];
      if (flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0) closeSync(Number(name));
    } catch {
      // The descriptor was that of the listing.
    }
  }
}

function descriptors(): readonly string[] {
  try {
    return readdirSync("/proc/self/fdinfo");
  } catch {
    return [];
  }
}
