import { join } from "node:path";
import { keywordFault, patternOf } from "../../ansible/static/schedule-faults.ts";
import { type ErrorDetails, messageOf, VolleyError } from "../../core/errors.ts";
import type { Playbook, PlayDefinition } from "../../core/playbook.ts";
import { writeJson } from "../../core/values/value.ts";
import { OMIT, type Vars } from "../../core/values/vars.ts";
import type { VaultedValue } from "../../core/values/vaulted.ts";
import { createLookupAnswers, whenAnswered } from "../../engine/render.ts";
import { createTemplates, type Templates } from "../../template/index.ts";
import { createScope, isTemplate, type VarLayer } from "../../vars/scope.ts";
import type { SecretStore } from "../../vars/secrets/store.ts";
import { createControllerLookups } from "../lookups/perform.ts";

/** Fills in templates of plays before any host is known, with vars over those of the play. */
export type FillIn = (play: PlayDefinition, value: unknown, more: PlayKnowledge) => Promise<unknown>;

/** The vars that a play has beside its own, before any host is known. */
export interface PlayKnowledge {
  /** Vars that win over all others. */
  readonly extra: Vars;
  /** Vars that a person was asked for. */
  readonly prompted?: Vars | undefined;
  readonly groups?: Readonly<Record<string, readonly string[]>> | undefined;
  /** The values of the playbook that are encrypted with Ansible Vault. */
  readonly vaulted?: readonly VaultedValue[] | undefined;
}

/** Make what fills in templates of the plays of a playbook in this directory, with lookups on this machine. */
export function createFillIn(directory: string, secrets: SecretStore): FillIn {
  // Few plays have templates there, and most runs need not wait for the engine to be made.
  let made: Templates | undefined;
  const make = (): Templates => {
    const { env } = process;
    const openVault = (text: string, file: string): Promise<string> => secrets.openVaultFile(text, file);
    const { ask } = createLookupAnswers(createControllerLookups({ env, directory, openVault }));
    return createTemplates({ env, ask });
  };
  const layer = (vars: Vars): VarLayer => ({ kind: "template", vars, origin: (name) => ({ name }) });
  return async ({ program, vars }, value, { extra, prompted = {}, groups, vaulted }) => {
    const [own = vars ?? {}, files = {}] = program?.templates?.vars(vaulted) ?? [];
    const magic = {
      ...(groups === undefined ? {} : { groups }),
      playbook_dir: directory,
      ansible_search_path: [directory],
      omit: OMIT,
    };
    made ??= make();
    const templates = made;
    const layers: VarLayer[] = [...[own, prompted, files, extra].map(layer), { kind: "data", vars: magic }];
    return await whenAnswered(() =>
      templates.renderArguments(value, createScope(layers, templates.renderValue)),
    );
  };
}

/** Keywords that tasks fill in by themselves, with the vars of their host. */
const LATER: readonly string[] = ["name", "connection", "remote_user", "port"];

/**
 * Fill in the keywords of Ansible's plays that are templates and that the controller needs: patterns such as
 * `{{ target | default('web') }}`, `serial`, `order` and the like. As in Ansible vars of hosts are not known there.
 * `isEarly`: groups are still unknown, and a pattern that asks for them stays. Fails with `PATTERN_UNKNOWN` or
 * `PLAYBOOK_INVALID`.
 */
export async function fillPlays(
  { plays, ...rest }: Playbook,
  fillIn: FillIn,
  {
    asked,
    ...knowledge
  }: Omit<PlayKnowledge, "prompted"> & { readonly asked: Readonly<Record<number, { readonly vars: Vars }>> },
  isEarly = false,
): Promise<Playbook> {
  const filled = async (play: PlayDefinition, index: number): Promise<PlayDefinition> => {
    const { program } = play;
    if (program === undefined) return play;
    const known = { ...knowledge, prompted: asked[index]?.vars };
    const place = program.templates === undefined ? "" : ` (${program.templates.at})`;
    const refuse = (name: string, text: string, more: ErrorDetails = {}): never => {
      const code = name === "hosts" ? "PATTERN_UNKNOWN" : "PLAYBOOK_INVALID";
      throw new VolleyError(code, `play "${play.name}"${place}: ${text}`, more);
    };
    const fill = (name: string, value: unknown): Promise<unknown> =>
      fillIn(play, value, known).catch((cause: unknown) =>
        refuse(name, `${name}: ${String(value)} cannot be filled in: ${messageOf(cause)}`, {
          cause,
          hint: "only extra vars, the play's vars and groups are known here: -e name=value",
        }),
      );
    let { hosts } = play;
    if (isTemplate(hosts)) {
      const found = fill("hosts", hosts).then(
        (value) =>
          patternOf(value) ??
          refuse("hosts", `hosts is a pattern or a list of patterns, not ${writeJson(value)}`),
      );
      hosts = await (isEarly ? found.catch(() => "all") : found);
      // As in Ansible an empty list is nobody.
      if (hosts === "") hosts = "all,!all";
    }
    const values: Record<string, unknown> = play.name === play.hosts && !isEarly ? { name: hosts } : {};
    for (const [name, value] of isEarly ? [] : Object.entries(program.templates?.keys ?? {})) {
      const found = fill(name, value);
      const given = await (LATER.includes(name) ? found.catch(() => value) : found);
      const kept = given === OMIT ? undefined : given;
      const fault = keywordFault(name, kept);
      if (fault !== undefined) refuse(name, fault);
      values[name] = kept;
    }
    const isSettled = Object.keys(values).length > 0;
    return { ...play, ...(isSettled ? { ...program.templates?.settle(values), written: play } : {}), hosts };
  };
  return { ...rest, plays: await Promise.all(plays.map(filled)) };
}

/** The directory of a playbook's file. */
export function directoryOf({
  directory,
  name,
}: {
  readonly directory: string;
  readonly name: string;
}): string {
  return join(directory, name, "..");
}
