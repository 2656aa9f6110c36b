/** A lookup of Ansible's that reads on the controller's machine, as a template asks for it. */
export interface LookupQuestion {
  /** The name without a collection, such as `file`. */
  readonly plugin: string;
  readonly terms: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  /** The directories that relative paths are looked for in, the nearest one first: `ansible_search_path`. */
  readonly searchPath: readonly string[];
}

/** Performs lookups on the controller's machine, wherever the templates are rendered. */
export interface ControllerLookups {
  /** Return the items that a lookup finds. Rejects with a VolleyError where it fails. */
  perform(question: LookupQuestion): Promise<readonly unknown[]>;
}
