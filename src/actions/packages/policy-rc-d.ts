import type { System } from "../../core/system.ts";

const POLICY = "/usr/sbin/policy-rc.d";
const SAVED = `${POLICY}.volley-saved`;

/** Does something while `/usr/sbin/policy-rc.d` answers with an exit code, and puts back what was there; undefined leaves it alone. */
export async function withPolicy<T>(
  system: System,
  exitCode: number | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (exitCode === undefined) return work();
  const present = (await system.lstat(POLICY)) !== null;
  if (present) await system.rename(POLICY, SAVED);
  try {
    await system.writeFile(POLICY, `#!/bin/sh\nexit ${exitCode}\n`, { mode: 0o755 });
    return await work();
  } finally {
    if (present) await system.rename(SAVED, POLICY);
    else await system.remove(POLICY);
  }
}
