import type { Facts } from "../../core/facts.ts";
import type { ProgramWorld } from "../../core/program.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import { createControllerLookups } from "../lookups/perform.ts";

/** Make what plays may use of this machine when they are carried out here: lookups, and the machine itself. */
export async function createWorld(
  directory: string,
  secrets: SecretStore,
  signal: AbortSignal,
): Promise<ProgramWorld> {
  const [{ createLocalSystem }, { gatherFacts }, { thisMachine }] = await Promise.all([
    import("../../system/local/local-system.ts"),
    import("../../agent/facts/gather.ts"),
    import("../../agent/facts/sources.ts"),
  ]);
  const system = createLocalSystem();
  let facts: Promise<Facts> | undefined;
  return {
    lookups: createControllerLookups({
      env: process.env,
      directory,
      openVault: (text, file) => secrets.openVaultFile(text, file),
      signal,
    }),
    local: () => system,
    localFacts: () => {
      facts ??= gatherFacts(system, process.env, thisMachine);
      return facts;
    },
    hosts: new Map(),
  };
}
