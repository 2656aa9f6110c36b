import { createHash } from "node:crypto";
import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Applied, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { textToBytes } from "../../core/values/bytes.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { defineAction } from "../define.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import {
  attributeAliases,
  backup,
  fileAttributes,
  flag,
  optionalText,
  text,
  validate,
} from "../shared/params.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

/** The data of an assemble task. */
interface AssembleData extends Partial<FileDescription> {
  readonly src: string;
  readonly dest: string;
  /** SHA-1 of the file. */
  readonly checksum: string;
  readonly md5sum: string;
  readonly backup_file?: string;
}

interface AssembleChange extends FileChange {
  readonly sums: Pick<AssembleData, "checksum" | "md5sum">;
}

const params = v.strictObject({
  src: text(
    "The directory of the fragments: on the host, or with `remote_src: false` in the role's `files`.",
  ),
  dest: text("The file to write."),
  remote_src: flag("Take the fragments from the host.", true),
  delimiter: v.optional(
    v.pipe(
      v.string(),
      v.description(
        "Text between the fragments, on a line of its own; `\\n`, `\\t` and `\\x41` are escapes in it.",
      ),
    ),
  ),
  regexp: optionalText(
    "A Python regular expression: take only fragments in whose name it matches somewhere.",
  ),
  ignore_hidden: flag("Leave out fragments whose name begins with a dot."),
  ...fileAttributes,
  backup,
  validate,
  decrypt: flag(
    "Send files that are encrypted with Ansible Vault in clear; the controller opens them. In YAML playbooks only.",
    true,
  ),
});

type Params = v.InferOutput<typeof params>;

/** Write a file from the fragments in a directory. */
export const assemble = defineAction<typeof params, AssembleChange, AssembleData>({
  name: "assemble",
  doc: `Join all files of a directory, in the order of their names, and write the result to one file.

Directories below it are not looked into. A fragment that does not end with a newline gets one when another follows.
Content, owner, group and mode are each compared, and the file is replaced atomically; as in Ansible, a link at \`dest\` is
replaced, not followed.`,
  params,
  aliases: attributeAliases,
  examples: [
    { src: "/etc/app/conf.d", dest: "/etc/app/app.conf", mode: "0644" },
    { src: "sshd", dest: "/etc/ssh/sshd_config", remote_src: false, validate: "sshd -t -f %s" },
  ],
  title: ({ dest }) => dest,

  async inspect(given, system, context) {
    const { src, dest, delimiter, owner, group, mode, backup, validate } = given;
    const found = await (given.remote_src ? remoteFragments(given, system) : assetFragments(given, context));
    const content = joinFragments(await select(found, given, context), unescapePython(delimiter ?? ""));
    const sums = { checksum: digest("sha1", content), md5sum: digest("md5", content) };
    const change = await inspectFile({
      ...{ system, context, path: dest, content, owner, group, mode, backup, validate },
      follow: false,
    });
    if (change !== null) return { ...change, sums, data: { src, dest, ...sums } };
    return unchanged<AssembleData>(
      { src, dest, ...sums, ...(await describeFile(system, dest, context)) },
      "OK",
    );
  },

  async apply(change, { src, dest }, system, context): Promise<Applied<AssembleData>> {
    const applied = await applyFile(change, system);
    const made = await describeFile(system, dest, context);
    return { message: "OK", ...applied, data: { src, dest, ...change.sums, ...made, ...applied.data } };
  },
});

interface Fragment {
  readonly name: string;
  read(): Promise<Uint8Array>;
}

async function remoteFragments({ src }: Params, system: ReadSystem): Promise<readonly Fragment[]> {
  const stat = await system.stat(src);
  if (stat === null) throw new VolleyError("ACTION_FAILED", `Source (${src}) does not exist`);
  if (stat.type !== "directory") throw new VolleyError("ACTION_FAILED", `Source (${src}) is not a directory`);
  const fragments: Fragment[] = [];
  for (const name of await system.list(src)) {
    const path = posix.join(src, name);
    if ((await system.stat(path))?.type === "file")
      fragments.push({ name, read: () => system.readFile(path) });
  }
  return fragments;
}

async function assetFragments({ src }: Params, context: ActionContext): Promise<readonly Fragment[]> {
  const paths = context.assetTree("files", src);
  if (paths === null) {
    const { path } = context.asset("files", src);
    throw new VolleyError("ACTION_FAILED", `Source (${path}) is not a directory`);
  }
  return paths
    .filter((name) => !name.includes("/"))
    .map((name) => ({ name, read: async () => context.asset("files", posix.join(src, name)).read() }));
}

/** Read the fragments that the parameters select, in the order of their names by code point, as Python sorts them. */
async function select(
  fragments: readonly Fragment[],
  { regexp, ignore_hidden }: Params,
  { signal }: ActionContext,
): Promise<readonly Uint8Array[]> {
  const seen = fragments.filter(({ name }) => !ignore_hidden || !name.startsWith("."));
  const sorted = seen.sort((a, b) => Buffer.compare(textToBytes(a.name), textToBytes(b.name)));
  const regex = pythonRegex(regexp ?? "", { unicode: true });
  const names = sorted.map(({ name }) => name);
  const matches = await findMatches(regex, names, signal);
  const contents: Uint8Array[] = [];
  for (const [index, fragment] of sorted.entries())
    if (matches[index]!.length > 0) contents.push(await fragment.read());
  return contents;
}

const NEWLINE = 0x0a;

function endsLine(bytes: Uint8Array): boolean {
  return bytes.at(-1) === NEWLINE;
}

function joinFragments(fragments: readonly Uint8Array[], delimiter: Uint8Array): Buffer {
  const pieces: Uint8Array[] = [];
  const newline = Buffer.from("\n");
  for (const [index, fragment] of fragments.entries()) {
    if (index > 0) {
      if (!endsLine(fragments[index - 1]!)) pieces.push(newline);
      if (delimiter.length > 0) pieces.push(delimiter, ...(endsLine(delimiter) ? [] : [newline]));
    }
    pieces.push(fragment);
  }
  return Buffer.concat(pieces);
}

const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\\'"abfnrtv\n]))/g;
const CONTROLS: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", "\n": "" },
};

/** Replace the escapes of a Python string by the bytes that they stand for. */
function unescapePython(text: string): Buffer {
  // Each byte is a character here, because `\xc3` is a byte.
  const bytes = textToBytes(text).toString("latin1");
  const plain = bytes.replace(ESCAPE, (_all, hex?: string, octal?: string, letter?: string) => {
    if (letter !== undefined) return CONTROLS[letter] ?? letter;
    return String.fromCharCode(
      (hex === undefined ? Number.parseInt(octal!, 8) : Number.parseInt(hex, 16)) & 0xff,
    );
  });
  return Buffer.from(plain, "latin1");
}

function digest(algorithm: string, content: Uint8Array): string {
  return createHash(algorithm).update(content).digest("hex");
}
