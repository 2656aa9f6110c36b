import type { SourceLocation } from "../core/errors.ts";

/** A part of a YAML file; only the reader that made it knows what it is. */
export type YamlNode = object;

/** One `key: value` of a YAML mapping. */
export interface YamlEntry {
  /** As it is written. */
  readonly key: string;
  /** As a value reads it, where that is another: `20` is a number. */
  readonly typed?: unknown;
  readonly value: YamlNode | null;
  /** Of the key. */
  readonly location: SourceLocation;
}

/** A YAML file, with the place of everything in it. */
export interface YamlReader {
  /** Null when the file is empty. */
  readonly root: YamlNode | null;
  locate(node: YamlNode | null): SourceLocation;
  /** The entries of a mapping, aliases followed and `<<` merged; null when the node is something else. */
  entries(node: YamlNode | null): readonly YamlEntry[] | null;
  /** As `core/value.ts` has values. `!unsafe` is data; `!secret`, `!vault` and whatever stands in an encrypted file are stand-ins of secrets. */
  value(node: YamlNode | null): unknown;
}
