import type { Playbook } from "../../core/playbook.ts";
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
  const { values, needsController } = await openTexts(prepared.vaulted, store);
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
      needsController === undefined
        ? prepared
        : { ...prepared, playbook: ledFromHere(prepared.playbook, needsController) },
    vaulted: { values, secrets: [...secrets] },
  };
}

function ledFromHere(playbook: Playbook, needsController: string): Playbook {
  return {
    ...playbook,
    plays: playbook.plays.map((play) =>
      play.program === undefined || play.program.needsController !== undefined
        ? play
        : {
            ...play,
            // The outline is a getter, and stays one.
            program: Object.defineProperties({} as typeof play.program, {
              ...Object.getOwnPropertyDescriptors(play.program),
              needsController: { value: needsController, enumerable: true },
            }),
          },
    ),
  };
}
