import type { Needs } from "../../ansible/ir.ts";
import type { Playbook } from "../../core/playbook.ts";
import type { PlayProgram } from "../../core/program.ts";
import { mapLeaves } from "../../core/values/value.ts";
import type { VaultedValue } from "../../core/values/vaulted.ts";
import { type SecretStore, textsOf } from "../../vars/secrets/store.ts";
import type { PreparedPlaybook } from "./read.ts";

/** The values of a playbook that are encrypted with Ansible Vault, in clear. */
export interface OpenedVault {
  readonly values: readonly VaultedValue[];
  /** The texts to mask. */
  readonly secrets: readonly string[];
}

/**
 * Open what is encrypted in a playbook. The playbook that is returned is carried out from here where the values ask for
 * that. Fails with `SECRET_FAILED`, with file and line.
 */
export async function openVaulted(
  prepared: PreparedPlaybook,
  store: SecretStore,
): Promise<{ readonly playbook: PreparedPlaybook; readonly vaulted: OpenedVault | undefined }> {
  if (prepared.vaulted === undefined) return { playbook: prepared, vaulted: undefined };
  const { openTexts } = await import("../../ansible/load/open-vault.ts");
  const { values, needs } = await openTexts(prepared.vaulted, store);
  const secrets = new Set<string>();
  for (const opened of values)
    if ("value" in opened)
      mapLeaves(opened.value, (leaf) => {
        if (leaf !== null && leaf !== undefined && typeof leaf !== "boolean")
          for (const text of textsOf(leaf as Parameters<typeof textsOf>[0])) secrets.add(text);
        return leaf;
      });
  return {
    playbook:
      needs.controller === undefined && needs.others === undefined
        ? prepared
        : { ...prepared, playbook: withNeeds(prepared.playbook, needs) },
    vaulted: { values, secrets: [...secrets] },
  };
}

/** Add what the encrypted values need to what the playbook itself does. */
function withNeeds(playbook: Playbook, { controller, others }: Needs): Playbook {
  const addTo = <T extends Pick<PlayProgram, "needsController" | "needsOthers">>(program: T): T =>
    // The outline is a getter, and stays one.
    Object.defineProperties({} as T, {
      ...Object.getOwnPropertyDescriptors(program),
      needsController: { value: program.needsController ?? controller, enumerable: true },
      needsOthers: { value: program.needsOthers ?? others, enumerable: true },
    });
  const plays = playbook.plays.map((play) =>
    play.program === undefined ? play : { ...play, program: addTo(play.program) },
  );
  const { guests } = playbook;
  return { ...playbook, plays, ...(guests === undefined ? {} : { guests: addTo(guests) }) };
}
