import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { oneOf, textList } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const params = v.strictObject({
  name: textList("The locale, such as `en_US.UTF-8`, or several."),
  state: oneOf(["present", "absent"], "present", "Generate or remove it."),
});

const FILE = "/etc/locale.gen";
const SUPPORTED = "/usr/share/i18n/SUPPORTED";

interface LocaleChange extends Change {
  /** Null when the file lists them already: only locale-gen has not run. */
  readonly file: FileChange | null;
}

/** The data of a locale_gen task. */
interface LocaleData {
  readonly name: readonly string[];
  readonly mechanism: "debian";
}

/** Generate locales. */
export const locale_gen = defineAction<typeof params, LocaleChange, LocaleData>({
  name: "locale_gen",
  doc: `Generate or remove locales: list them in \`/etc/locale.gen\`, and run \`locale-gen\`.

\`locale -a\` tells which there are. The package locales must be installed; in check mode the result is unknown without it, because an earlier task may install it.`,
  params,
  examples: [{ name: "en_US.UTF-8" }, { name: ["de_CH.UTF-8", "fr_CH.UTF-8"] }],
  title: ({ name }) => name.join(", "),

  async inspect({ name: names, state }, system, context) {
    const data: LocaleData = { name: names, mechanism: "debian" };
    const there = await generated(system);
    const wrong = names.filter((name) => there.has(normalize(name)) !== (state === "present"));
    if (wrong.length === 0) return unchanged(data);
    const bytes = await system.readIfExists(FILE);
    const tool = await system.which("locale-gen");
    if (bytes === null || tool === null)
      return refuse(
        `there is no ${bytes === null ? FILE : "locale-gen"}; install the package locales first`,
        context,
      );
    const before = bytesToText(bytes);
    const supported = before + bytesToText((await system.readIfExists(SUPPORTED)) ?? new Uint8Array());
    const unknown = wrong.filter((name) => state === "present" && definition(name, supported) === undefined);
    if (unknown.length > 0)
      return refuse(
        `these locales are not available on this system: ${unknown.join(", ")}; ${FILE} lists the available ones`,
        context,
      );
    const content = wrong.reduce(
      (text, name) => (state === "present" ? list(name, text, supported) : unlist(name, text)),
      before,
    );
    const file = await inspectFile({ system, context, path: FILE, content, current: bytes });
    const diff = [
      ...(file === null ? [] : [file.diff]),
      { path: "locales", attributes: Object.fromEntries(wrong.map((name) => [name, states(state)])) },
    ];
    return {
      file,
      diff,
      message: `${state === "present" ? "generate" : "remove"} ${wrong.join(", ")}`,
      data,
    };
  },

  async apply({ file }, { name }, system, { signal }) {
    if (file !== null) await applyFile(file, system);
    await runTool(system, ["locale-gen"], "generate the locales", { signal });
    return { data: { name, mechanism: "debian" } };
  },
});

function states(state: "present" | "absent"): readonly [string, string] {
  return state === "present" ? ["absent", "present"] : ["present", "absent"];
}

function refuse(reason: string, { check }: ActionContext): LocaleChange {
  if (!check) throw new VolleyError("ACTION_FAILED", reason);
  return { file: null, unknown: reason };
}

/** The locales that there are, by their {@link normalize | normal} names. */
async function generated(system: ReadSystem): Promise<ReadonlySet<string>> {
  if ((await system.which("locale")) === null) return new Set();
  const { stdout } = await system.query(["locale", "-a"], { env: { LC_ALL: "C" } });
  return new Set(stdout.split("\n").map((line) => normalize(line.trim())));
}

/** Write the codeset of a locale as `locale -a` does: `en_US.UTF-8` is listed as `en_US.utf8`. */
function normalize(name: string): string {
  return name.replace(/\.([^@]+)/, (_codeset, text: string) => `.${text.toLowerCase().replaceAll("-", "")}`);
}

const LINE = /^\s*#?\s*([a-zA-Z][\w.@-]*)\s+([\w-]+)\s*$/;

/** Return the line that makes locale-gen generate a locale, as the system's lists have it. */
function definition(name: string, lists: string): string | undefined {
  for (const line of lists.split("\n")) {
    const [, found, charset] = LINE.exec(line) ?? [];
    if (found !== undefined && normalize(found) === normalize(name)) return `${found} ${charset}`;
  }
  return undefined;
}

function list(name: string, text: string, supported: string): string {
  const wanted = definition(name, supported) ?? "";
  const lines = text.split("\n");
  const isIts = (line: string): boolean => normalize(LINE.exec(line)?.[1] ?? "") === normalize(name);
  if (lines.some((line) => isIts(line) && !/^\s*#/.test(line))) return text;
  const at = lines.findIndex(isIts);
  if (at === -1) return `${text === "" || text.endsWith("\n") ? text : `${text}\n`}${wanted}\n`;
  return lines.map((line, index) => (index === at ? wanted : line)).join("\n");
}

function unlist(name: string, text: string): string {
  return text
    .split("\n")
    .map((line) =>
      normalize(LINE.exec(line)?.[1] ?? "") === normalize(name) && !/^\s*#/.test(line)
        ? `# ${line.trim()}`
        : line,
    )
    .join("\n");
}
