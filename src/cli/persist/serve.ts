import { openBackground } from "../../transport/persist/background.ts";
import { READY } from "../../transport/persist/link.ts";
import { backgroundPlace } from "./place.ts";

/** Be the background process. Its only output is a line for the client that started it. */
export async function serve(): Promise<void> {
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
}
