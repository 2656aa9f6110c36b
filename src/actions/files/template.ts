import { posix } from "node:path";
import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { backup, copiedAttributes, flag, oneOf, text, validate } from "../shared/params.ts";
import { destinationFile } from "../shared/paths.ts";
import { applyFile, inspectFile } from "../shared/write-file.ts";

/** The data of a template task. */
export interface TemplateData {
  readonly dest: string;
  readonly backup_file?: string;
}

const ANSIBLE_MANAGED = "Ansible managed";

/** Write a file from a template. */
export const template = defineAction({
  name: "template",
  doc: `Render a Jinja template of the role, and write the result to a file.

The template sees the task's vars, the host's vars and facts, and \`ansible_managed\`, \`template_path\` and
\`template_destpath\`. Content, owner, group and mode are each compared, and the file is replaced atomically. As in
Ansible, a first line such as \`#jinja2: lstrip_blocks:True\` sets trimming or delimiters. Missing directories are not
made.`,
  params: v.strictObject({
    src: text("The template, in the role's `templates`."),
    dest: text("Destination. If it ends with `/` or is a directory, the name of `src` is added."),
    force: flag("Replace a file that differs; false only writes a missing file.", true),
    trim_blocks: flag("Remove the newline after a block tag.", true),
    lstrip_blocks: flag("Remove white space before a block tag."),
    newline_sequence: oneOf(["\n", "\r", "\r\n"], "\n", "The line ending of the file."),
    ...copiedAttributes,
    backup,
    validate,
    follow: flag("Write the target of a link at `dest` instead of replacing the link."),
  }),
  examples: [
    { src: "nginx.conf.j2", dest: "/etc/nginx/nginx.conf", mode: "0644", validate: "nginx -t -c %s" },
    { src: "sudoers.j2", dest: "/etc/sudoers.d/deploy", mode: 0o440, validate: "visudo -cf %s" },
  ],
  title: ({ dest }) => dest,

  async inspect(params, system, context) {
    const { src, force, newline_sequence, owner, group, mode, backup, validate, follow } = params;
    const dest = await destinationFile(system, params.dest, posix.basename(src));
    if (!force && (await system.stat(dest)) !== null)
      return unchanged<TemplateData>({ dest }, `${dest} exists already`);
    const vars = {
      ansible_managed: context.vars.ansible_managed ?? ANSIBLE_MANAGED,
      template_path: src,
      template_destpath: dest,
    };
    const style = { trimBlocks: params.trim_blocks, lstripBlocks: params.lstrip_blocks };
    const rendered = await context.render(src, vars, style);
    const content = newline_sequence === "\n" ? rendered : rendered.replaceAll("\n", newline_sequence);
    const change = await inspectFile({
      ...{ system, context, path: dest, content, owner, group, backup, validate, follow },
      mode: mode === "preserve" ? context.asset("templates", src).mode : mode,
    });
    return change ?? unchanged<TemplateData>({ dest });
  },

  async apply(change, _params, system) {
    const applied = await applyFile(change, system);
    return { ...applied, data: { dest: change.path, ...applied.data } as TemplateData };
  },
});
