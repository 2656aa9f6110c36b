import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";

/** Says that there is nothing to unpack; Ansible takes no empty archive either. */
export function emptyArchive(name: string): VolleyError {
  return new VolleyError(
    "ACTION_FAILED",
    `${name} holds no files: it is no tar or zip archive (a single compressed file is none), or an empty one`,
  );
}

/** How an archive is unpacked. */
export interface UnpackOptions {
  /** Patterns of members left out. */
  readonly exclude: readonly string[];
  /** Patterns of members unpacked; empty for all. */
  readonly include: readonly string[];
  readonly keep_newer: boolean;
  readonly extra_opts: readonly string[];
  /** What is set afterwards anyway, and thus not compared. */
  readonly ignore: { readonly owner: boolean; readonly group: boolean; readonly mode: boolean };
}

/** An archive: a file on the system, or bytes that are to be sent there. */
export interface ArchiveSource {
  /** For messages. */
  readonly name: string;
  /** On the system; else `bytes`. */
  readonly path?: string;
  readonly bytes?: Buffer;
}

/** One kind of archive. */
export interface ArchiveKind {
  /** As Ansible calls it. */
  readonly handler: string;
  /** The command that unpacks it. */
  readonly command: string;
  /** Paths it would make below its destination, without those left out; directories end with `/`. */
  list(system: ReadSystem, source: ArchiveSource, options: UnpackOptions): Promise<readonly string[]>;
  /** Those of its paths that are not below the destination as they are in it; null when that cannot be told. */
  differing(
    system: ReadSystem,
    source: ArchiveSource,
    dest: string,
    options: UnpackOptions,
  ): Promise<readonly string[] | null>;
  /** Unpacks a file on the system. */
  extract(system: System, path: string, dest: string, options: UnpackOptions): Promise<void>;
}
