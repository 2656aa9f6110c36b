/** What the bootstrap hands to the runner: the bundle it was started from. */
export interface BundleReader {
  /** The bundle's own path. */
  readonly file: string;
  /** Names of the zip's entries, in order. */
  readonly names: readonly string[];
  /** Bytes of an entry, uncompressed; undefined when there is no such entry. */
  size(name: string): number | undefined;
  /** Permission bits of an entry; 0 when there is no such entry. */
  mode(name: string): number;
  /** An entry's content; undefined when there is no such entry. */
  read(name: string): Buffer | undefined;
  /** Compiles and runs an entry that is a CommonJS module, and gives its exports; `imports` answer its `require` before Node does. */
  load(name: string, imports?: Readonly<Record<string, unknown>>): unknown;
  /** Keeps the compiled form of the modules that were loaded for the next start, unless the bundle is carried about. */
  keepCompiled(): void;
}
