import * as v from "valibot";
import { modeProblem } from "./attributes.ts";

/** Add the reference's sentence to a parameter's schema. */
export function describe<const S extends v.GenericSchema>(schema: S, text: string) {
  return v.pipe(schema, v.description(text));
}

/** A non-empty string. */
export function text(description: string) {
  return v.pipe(v.string(), v.nonEmpty("must not be empty"), v.description(description));
}

/** A flag. Default: off. */
export function flag(description: string, initial = false) {
  return v.optional(v.pipe(v.boolean(), v.description(description)), initial);
}

/** An optional non-empty string. */
export function optionalText(description: string) {
  return v.optional(text(description));
}

/** A name that commands get as an argument, and must not take for an option. */
export function nameText(description: string) {
  return v.pipe(text(description), v.regex(/^[^-]/, "must not begin with a dash"));
}

/** A choice of several words, with a default. */
export function oneOf<const W extends readonly string[]>(words: W, initial: W[number], description: string) {
  return v.optional(v.pipe(v.picklist(words), v.description(description)), initial);
}

/** A number of seconds, with a default. */
export function seconds(description: string, initial: number) {
  return v.optional(v.pipe(v.number(), v.minValue(0), v.description(description)), initial);
}

/** A string or a list of strings; the output is a list. */
export function textList(description: string) {
  return v.pipe(
    v.union([v.pipe(v.string(), v.nonEmpty()), v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())))]),
    v.transform((value): readonly string[] => (typeof value === "string" ? [value] : value)),
    v.description(description),
  );
}

const MODE =
  'Permission bits: `"0644"`, `0o644`, or symbolic as chmod takes it: `"u=rw,g=r,o="`. Decimal numbers that look like octal ones (`644`, `400`) are refused.';

/** Permission bits, optionally also the word `preserve`; checked before any host is touched. */
function modeText(description: string, also?: "preserve") {
  const problem = (mode: string | number): string | undefined =>
    mode === also ? undefined : modeProblem(mode);
  return v.optional(
    v.pipe(
      v.union([v.number(), v.string()]),
      v.check(
        (mode) => problem(mode) === undefined,
        ({ input }) => problem(input) ?? "",
      ),
      v.description(description),
    ),
  );
}

const ofSelinux = optionalText(
  "Part of the SELinux context; ignored where SELinux is off, refused where it is on.",
);

/** The attributes of all actions that make files. */
export const fileAttributes = {
  owner: v.optional(
    v.pipe(v.union([v.string(), v.number()]), v.description("Owner of the file, by name or id.")),
  ),
  group: v.optional(
    v.pipe(v.union([v.string(), v.number()]), v.description("Group of the file, by name or id.")),
  ),
  mode: modeText(MODE),
  attributes: v.optional(
    describe(
      v.string(),
      "File attributes as chattr(1) takes them: `+i`, `-a`, `=i`; letters alone are the whole set. Empty: as they are.",
    ),
  ),
  seuser: ofSelinux,
  serole: ofSelinux,
  setype: ofSelinux,
  selevel: ofSelinux,
  unsafe_writes: flag("Write the file itself where its directory lets no other take its place."),
};

/** Ansible's other names of {@link fileAttributes}. */
export const attributeAliases = { attr: "attributes" } as const;

/** The attributes of actions that copy a file with a known mode. */
export const copiedAttributes = {
  ...fileAttributes,
  mode: modeText(
    [
      MODE,
      "`preserve` takes the source's mode; that of a role's file without write permission for group and others.",
    ].join(" "),
    "preserve",
  ),
};

/** The file that an action edits. */
export const filePath = text("The file: an absolute path, or one from `~/`.");

/** `backup` of every action that writes whole files. */
export const backup = flag("Keep a copy of the replaced file beside it; `backup_file` returns its path.");

/** `validate` of every action that writes whole files. */
export const validate = v.optional(
  v.pipe(
    v.string(),
    v.includes("%s", "must contain %s"),
    v.description(
      "A command that must accept the new content before it replaces the file, with `%s` for a temporary file with that content: `visudo -cf %s`. It runs without a shell, and not in check mode.",
    ),
  ),
);

/** `directory_mode` of actions that make directories on the way. */
export const directoryMode = modeText("Permission bits of new directories, as for `mode`.");
