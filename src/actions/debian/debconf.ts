import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { requiredTogether } from "../shared/combinations.ts";
import { flag, nameText, optionalText } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import { APT_ENVIRONMENT } from "./apt-get.ts";

const TYPES = [
  "boolean",
  "error",
  "multiselect",
  "note",
  "password",
  "seen",
  "select",
  "string",
  "text",
  "title",
] as const;

const params = v.pipe(
  v.strictObject({
    name: nameText("The package to configure."),
    question: optionalText(
      "The question to answer, such as `tzdata/Areas`. Without it the answers are only returned.",
    ),
    vtype: v.optional(
      v.pipe(
        v.picklist(TYPES),
        v.description("The question's type; `seen` sets whether the question was asked."),
      ),
    ),
    value: v.optional(
      v.pipe(
        v.string(),
        v.check((value) => !value.includes("\n"), "must be one line"),
        v.description("The answer."),
      ),
    ),
    unseen: flag("Leave it open whether the question was asked."),
  }),
  requiredTogether("question", "vtype", "value"),
);

type Answers = Readonly<Record<string, string>>;

/** The data of a debconf task. */
interface DebconfData {
  /** The answers: all of the package, or the one that changes. */
  readonly current: Answers;
  /** The answer before. */
  readonly previous?: Answers;
}

interface DebconfChange extends Change {
  /** A line for debconf-set-selections. */
  readonly line: string;
  readonly data: DebconfData;
}

/** Answer a question of a package before it is asked. */
export const debconf = defineAction<typeof params, DebconfChange, DebconfData>({
  name: "debconf",
  doc: `Answer a question of a Debian package before the package asks it, or return the answers.

An installed package takes a new answer only when it is reconfigured: \`dpkg-reconfigure\`. Passwords are compared too, and never shown. A \`multiselect\` is the same in any order.`,
  params,
  aliases: { pkg: "name", selection: "question", setting: "question", answer: "value" },
  examples: [
    {
      name: "locales",
      question: "locales/default_environment_locale",
      value: "fr_FR.UTF-8",
      vtype: "select",
    },
    { name: "tzdata" },
  ],
  title: ({ name, question }) => question ?? name,

  async inspect({ name, question, vtype, value }, system, context) {
    const answers = await readAnswers(name, system, context);
    const current = Object.fromEntries(answers.map((answer) => [answer.question, answer.value]));
    if (question === undefined || vtype === undefined || value === undefined) return unchanged({ current });
    const before = answers.find((answer) => answer.question === question);
    const wanted = vtype === "boolean" || vtype === "seen" ? value.toLowerCase() : value;
    if (before !== undefined && (await isAnswered(before, vtype, wanted, system)))
      return unchanged({ current });
    const shown = vtype === "password" ? PASSWORD : value;
    return {
      line: `${name} ${question} ${vtype} ${wanted}\n`,
      data: {
        current: { [question]: shown },
        previous: before === undefined ? { ...current, [question]: "" } : { [question]: before.value },
      },
      diff:
        vtype === "password"
          ? { path: question, binary: true }
          : { path: question, before: before === undefined ? null : before.value, after: shown },
    };
  },

  async apply({ line, data }, { unseen, question }, system, { signal }) {
    await runTool(system, ["debconf-set-selections", ...(unseen ? ["--unseen"] : [])], `answer ${question}`, {
      input: line,
      env: APT_ENVIRONMENT,
      signal,
    });
    return { data } satisfies Applied<DebconfData>;
  },
});

const PASSWORD = "(password omitted)";

interface Answer {
  readonly question: string;
  readonly value: string;
  /** True when the question was asked, or need not be. */
  readonly seen: boolean;
}

async function readAnswers(
  name: string,
  system: ReadSystem,
  { signal }: ActionContext,
): Promise<readonly Answer[]> {
  if ((await system.which("debconf-show")) === null)
    throw new VolleyError("ACTION_FAILED", "the host has no debconf-show: install the package debconf");
  const asked = await system.query(["debconf-show", name], { env: APT_ENVIRONMENT, signal });
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read the answers of ${name}: ${failureText(asked)}`);
  return parseAnswers(asked.stdout);
}

/** Parse the output of debconf-show. */
export function parseAnswers(stdout: string): readonly Answer[] {
  return stdout.split("\n").flatMap((line) => {
    const [, mark, question, value] = /^([* ]) (\S+?):(?: (.*))?$/.exec(line) ?? [];
    return question === undefined ? [] : { question, value: (value ?? "").trim(), seen: mark === "*" };
  });
}

async function isAnswered(
  { question, value, seen }: Answer,
  vtype: (typeof TYPES)[number],
  wanted: string,
  system: ReadSystem,
): Promise<boolean> {
  switch (vtype) {
    case "seen":
      return seen === (wanted === "true");
    case "password":
      return (await readPassword(question, system)) === wanted;
    case "multiselect":
      return sorted(value) === sorted(wanted);
    default:
      return value === wanted.trim();
  }
}

function sorted(value: string): string {
  return value
    .split(",")
    .map((word) => word.trim())
    .sort()
    .join(",");
}

const PASSWORDS = "/var/cache/debconf/passwords.dat";

/** Return the password that debconf keeps, which debconf-show leaves out; null for none. */
async function readPassword(question: string, system: ReadSystem): Promise<string | null> {
  const text = (await system.readIfExists(PASSWORDS))?.toString("utf8") ?? "";
  const paragraph = text.split("\n\n").find((each) => each.split("\n").includes(`Name: ${question}`));
  return paragraph === undefined ? null : (/^Value: (.*)$/m.exec(paragraph)?.[1] ?? "");
}
