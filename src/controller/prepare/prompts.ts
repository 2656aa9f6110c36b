import { readSwitch } from "../../ansible/static/prompts.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Playbook, PlayDefinition } from "../../core/playbook.ts";
import type { VarPrompt } from "../../core/program.ts";
import { Data } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { FillIn, PlayKnowledge } from "./play-templates.ts";

// The vars of `vars_prompt`: a person is asked for them before the run, for all plays that have some.

/** A question to the person who starts the run. */
export interface VarQuestion {
  /** The text in front of the answer, with its colon; may have several lines. */
  readonly text: string;
  /** True where the answer is not shown. */
  readonly isPrivate: boolean;
}

/** Ask the person for a var; null where the person ends the run instead. */
export type AskVar = (question: VarQuestion) => Promise<string | null>;

/** The vars of a play's `vars_prompt`, and the texts of the private ones, which are to be masked, by name. */
interface PromptedVars {
  readonly vars: Vars;
  readonly secrets: Readonly<Record<string, string>>;
}

/** The vars of `vars_prompt`. */
export interface Prompted {
  /** By the index of the play. */
  readonly byPlay: Readonly<Record<number, PromptedVars>>;
  /** True where there was nobody to ask. */
  readonly isUnasked: boolean;
}

/**
 * Ask for the vars of all plays, in order, as Ansible does: not for extra vars, and until both answers agree where
 * `confirm` is set. An empty answer is the default. Without `ask` the value is the default, or the text `None`. Answers that are
 * private are secrets. Fails with `CANCELLED` where nobody answers.
 */
export async function askPrompts(
  { plays }: Playbook,
  fillIn: FillIn,
  knowledge: Omit<PlayKnowledge, "prompted">,
  ask: AskVar | undefined,
): Promise<Prompted> {
  const byPlay: Record<number, PromptedVars> = {};
  let isUnasked = false;
  for (const [index, play] of plays.entries()) {
    const prompts = play.program?.prompts ?? [];
    if (prompts.length === 0) continue;
    const vars: Record<string, unknown> = {};
    const secrets: Record<string, string> = {};
    for (const prompt of prompts) {
      const name = String(prompt.name);
      if (Object.hasOwn(knowledge.extra, name)) continue;
      isUnasked ||= ask === undefined;
      const { value, isSecret } = await answer(play, prompt, fillIn, knowledge, ask);
      vars[name] = value;
      if (isSecret) secrets[name] = String(value);
    }
    byPlay[index] = { vars, secrets };
  }
  return { byPlay, isUnasked };
}

async function answer(
  play: PlayDefinition,
  prompt: VarPrompt,
  fillIn: FillIn,
  knowledge: Omit<PlayKnowledge, "prompted">,
  ask: AskVar | undefined,
): Promise<{ readonly value: unknown; readonly isSecret: boolean }> {
  const fill = async (key: string, value: unknown): Promise<unknown> => {
    try {
      return await fillIn(play, value, knowledge);
    } catch (cause) {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `play "${play.name}": vars_prompt ${prompt.name}: ${key}: ${(cause as Error).message}`,
        { cause },
      );
    }
  };
  const isSet = async (key: "private" | "confirm" | "unsafe", otherwise: boolean): Promise<boolean> => {
    const given = await fill(key, prompt[key] ?? otherwise);
    const said = readSwitch(given);
    if (said === undefined)
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `play "${play.name}": vars_prompt ${prompt.name}: ${key} is yes or no, not ${String(given)}`,
      );
    return said;
  };
  const initial = prompt.default === undefined ? undefined : await fill("default", prompt.default);
  const standard = initial === undefined || initial === null ? null : String(initial);
  const isPrivate = await isSet("private", true);
  const isUnsafe = await isSet("unsafe", false);
  let value = standard ?? "None";
  if (ask !== undefined) {
    const text = `${String(await fill("prompt", prompt.prompt ?? prompt.name))}${standard === null ? "" : ` [${standard}]`}: `;
    const isConfirmed = await isSet("confirm", false);
    const put = async (question: string): Promise<string> => {
      const said = await ask({ text: question, isPrivate });
      if (said === null)
        throw new VolleyError("CANCELLED", `nobody answered for the var ${prompt.name}`, {
          hint: `-e ${prompt.name}=… gives it without a question`,
        });
      return said;
    };
    let said = await put(text);
    while (isConfirmed && said !== (await put(`confirm ${text}`)))
      said = await put(`The two answers differ.\n${text}`);
    value = said === "" ? (standard ?? "") : said;
  }
  // A default stands in the playbook for all to read.
  const isSecret = isPrivate && ask !== undefined && value !== standard && value !== "";
  if (prompt.encrypt !== undefined && prompt.encrypt !== null) {
    if (ask === undefined && standard === null)
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `nobody is asked for the var ${prompt.name}, which is hashed`,
        {
          hint: `-e ${prompt.name}=… gives its hash`,
        },
      );
    value = await hashed(play, value, prompt, fillIn, knowledge);
  }
  return { value: isUnsafe ? new Data(value) : value, isSecret };
}

/** Hash an answer by the filter `password_hash`; `encrypt` is a scheme by the name that passlib has for it. */
async function hashed(
  play: PlayDefinition,
  password: string,
  { name, encrypt, salt, salt_size: size }: VarPrompt,
  fillIn: FillIn,
  knowledge: Omit<PlayKnowledge, "prompted">,
): Promise<string> {
  const [scheme, own, length] = (await fillIn(play, [encrypt, salt ?? null, size ?? null], knowledge)) as [
    unknown,
    unknown,
    unknown,
  ];
  const text = "{{ volley_password | password_hash(volley_scheme, volley_salt, volley_size) }}";
  const given = {
    volley_password: new Data(password),
    volley_scheme: String(scheme).replace(/_crypt$/, ""),
    volley_salt: own,
    volley_size: length === null ? null : Number(length),
  };
  try {
    return String(await fillIn(play, text, { ...knowledge, extra: { ...knowledge.extra, ...given } }));
  } catch (cause) {
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `play "${play.name}": vars_prompt ${name}: encrypt: ${(cause as Error).message}`,
      { cause },
    );
  }
}
