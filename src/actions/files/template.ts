import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { attributesOf } from "../shared/attributes.ts";
import {
  attributeAliases,
  backup,
  copiedAttributes,
  flag,
  optionalText,
  text,
  validate,
} from "../shared/params.ts";
import { destinationFile, expandPath } from "../shared/paths.ts";
import { applyFile, type FileChange, type FileContent, inspectFile } from "../shared/write-file.ts";
import { type CopiedData, copiedData } from "./copied-data.ts";

/** The name of a template's file, the text of it, and how both came about. */
interface TemplateChange extends FileChange {
  readonly src: string;
  readonly text: FileContent;
}

const ANSIBLE_MANAGED = "Ansible managed";

const mark = (usual: string) => optionalText(`Mark of tags instead of \`${usual}\`.`);

const MARKS = {
  block_start_string: mark("{%"),
  block_end_string: mark("%}"),
  variable_start_string: mark("{{"),
  variable_end_string: mark("}}"),
  comment_start_string: mark("{#"),
  comment_end_string: mark("#}"),
};

/** Encodings that Python and Node name differently. */
const ENCODINGS: Readonly<Record<string, BufferEncoding>> = {
  "utf-8": "utf8",
  utf8: "utf8",
  ascii: "latin1",
  "latin-1": "latin1",
  latin1: "latin1",
  "iso-8859-1": "latin1",
  "utf-16-le": "utf16le",
};

const params = v.strictObject({
  src: text("The template, in the role's `templates`."),
  dest: text("Destination. If it ends with `/` or is a directory, the name of `src` is added."),
  force: flag("Replace a file that differs; false only writes a missing file.", true),
  trim_blocks: flag("Remove the newline after a block tag.", true),
  lstrip_blocks: flag("Remove white space before a block tag."),
  newline_sequence: v.optional(
    v.pipe(
      v.string(),
      v.transform((given) => given.replaceAll("\\n", "\n").replaceAll("\\r", "\r")),
      v.picklist(["\n", "\r", "\r\n"]),
      v.description("The line ending of the file; its backslashes may be escaped."),
    ),
    "\n",
  ),
  ...MARKS,
  output_encoding: v.optional(
    v.pipe(
      v.string(),
      v.check(
        (name) => name.toLowerCase() in ENCODINGS,
        `must be one of ${Object.keys(ENCODINGS).join(", ")}`,
      ),
      v.description("The encoding of the file."),
    ),
    "utf-8",
  ),
  ...copiedAttributes,
  backup,
  validate,
  follow: flag("Write the target of a link at `dest` instead of replacing the link."),
});

type Params = v.InferOutput<typeof params>;

/** Write a file from a template. */
export const template = defineAction<typeof params, TemplateChange, CopiedData>({
  name: "template",
  doc: `Render a Jinja template of the role, and write the result to a file.

The template sees the task's vars, the host's vars and facts, and \`ansible_managed\`, \`template_path\` and
\`template_destpath\`. Content, owner, group and mode are each compared, and the file is replaced atomically. As in
Ansible, a first line such as \`#jinja2: lstrip_blocks:True\` sets trimming or delimiters. Missing directories are not
made.`,
  params,
  aliases: attributeAliases,
  examples: [
    { src: "nginx.conf.j2", dest: "/etc/nginx/nginx.conf", mode: "0644", validate: "nginx -t -c %s" },
    { src: "sudoers.j2", dest: "/etc/sudoers.d/deploy", mode: 0o440, validate: "visudo -cf %s" },
  ],
  title: ({ dest }) => dest,

  async inspect(given, system, context) {
    const { src, force, mode, backup, validate, follow } = given;
    const dest = await destinationFile(
      system,
      await expandPath(system, given.dest, context.facts.env),
      posix.basename(src),
    );
    if (!force && (await system.stat(dest)) !== null)
      return unchanged<CopiedData>({ dest, src }, `${dest} exists already`);
    const content = await render(given, dest, context);
    const change = await inspectFile({
      ...{ system, context, path: dest, content, backup, validate, follow },
      ...attributesOf(given),
      mode: mode === "preserve" ? context.asset("templates", src).mode : mode,
    });
    if (change?.content !== undefined) return { ...change, src, text: content };
    const data = await copiedData({ src, dest, content, written: false }, system, context);
    return change === null ? unchanged(data) : { ...change, src, text: content, data };
  },

  async apply(change, _params, system, context) {
    const applied = await applyFile(change, system);
    const { src, path: dest, text: content } = change;
    const copied = { src, dest, content, written: change.content !== undefined };
    return { ...applied, data: { ...(await copiedData(copied, system, context)), ...applied.data } };
  },
});

async function render(given: Params, dest: string, context: ActionContext): Promise<FileContent> {
  const { src, trim_blocks: trimBlocks, lstrip_blocks: lstripBlocks } = given;
  const vars = {
    ansible_managed: context.vars.ansible_managed ?? ANSIBLE_MANAGED,
    template_path: src,
    template_destpath: dest,
  };
  const marks: Record<string, string> = {};
  for (const name of Object.keys(MARKS) as readonly (keyof typeof MARKS)[])
    if (given[name] !== undefined) marks[name] = given[name];
  const rendered = await context.render(src, vars, { trimBlocks, lstripBlocks, marks });
  const newline = given.newline_sequence;
  const ended = newline === "\n" ? rendered : rendered.replaceAll("\n", newline);
  const encoding = ENCODINGS[given.output_encoding.toLowerCase()]!;
  return encoding === "utf8" ? ended : Buffer.from(ended, encoding);
}
