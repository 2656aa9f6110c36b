import type { AssetKind } from "../core/asset.ts";
import type { LookupQuestion } from "../core/lookup.ts";
import type { FileType } from "../core/system.ts";
import type { PrecompiledTemplates } from "./precompiled.ts";

/** A source of templates. */
export interface TemplateLoader {
  /** Return a text by its name relative to the role's templates, or its files; null for none. */
  read(name: string, kind?: AssetKind): string | null;
  /**
   * Return how {@link read} and tasks name a file that is looked for in a directory such as `files`, `templates`, `vars`
   * or `tasks` first; null for none. Default: by reading it.
   */
  find?(name: string, directory: string): string | null;
  /** List every file below a directory of the role's files, relative to it. Default: none. */
  list?(name: string): readonly string[];
}

/** The treatment of the text around tags; the names are Jinja's, the defaults those of Ansible's template module. */
export interface TemplateStyle {
  /** Drop the first newline after a block tag. Default: true. */
  readonly trimBlocks?: boolean;
  /** Drop the blanks before a block tag that is first on its line. Default: false. */
  readonly lstripBlocks?: boolean;
  /** Keep the newline at the very end. Default: true. */
  readonly keepTrailingNewline?: boolean;
  /** The marks of tags that differ from the usual ones, by Jinja's names: `variable_start_string`. */
  readonly marks?: Readonly<Record<string, string>>;
}

/** The options of {@link createTemplates}. */
export interface TemplateOptions extends TemplateStyle {
  readonly loader?: TemplateLoader;
  /** The environment that `lookup('env', …)` reads. Default: empty. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Return the type of the file at a path, links followed or not; null for none. Default: asked, or on this machine. */
  readonly look?: (path: string, follow: boolean) => FileType | null;
  /**
   * Answer a lookup on the controller's machine, or throw the NeedsAnswer that gets the answer. Default: there is no
   * controller to ask, and what is not among the assets cannot be looked up.
   */
  readonly ask?: (question: LookupQuestion) => readonly unknown[];
  /** Keep the types of values as Ansible's setting `jinja2_native` does. Default: false. */
  readonly native?: boolean;
  /** Templates that were compiled when the bundle was built. Default: none. */
  readonly precompiled?: PrecompiledTemplates;
  /** Lookups by name, which win over the built-in ones. */
  readonly lookups?: Readonly<Record<string, (...terms: unknown[]) => unknown>>;
}

/** Variables of a template. */
export type TemplateVars = Readonly<Record<string, unknown>>;
