/** The source of a part, and when a bundle holds it. */
interface PartRule {
  /** The file below `src/` whose exports are the part's. A part whose file is not there is not built. */
  readonly entry: string;
  /** The bundle holds the part only with this text in the compiled playbook, or anywhere: also in an asset or the hosts' vars. Absent: always. */
  readonly rides?: { readonly text: string; readonly within: "code" | "anything" };
}

/**
 * The parts of a bundle that are the same for every playbook of a version of Volley, packed with Brotli when Volley is
 * built. `agent/parts.ts` loads all but the runner at their first use. Actions ride by themselves: see `actions.ts`.
 */
export const PARTS = {
  runner: { entry: "agent/main.ts" },
  template: { entry: "template/index.ts" },
  // The filters from_yaml and from_yaml_all alone need it, and it is a fifth of a bundle.
  yaml: { entry: "yaml/document.ts", rides: { text: "from_yaml", within: "anything" } },
  ansible: { entry: "ansible/index.ts", rides: { text: "ansiblePlaybook", within: "code" } },
} as const satisfies Readonly<Record<string, PartRule>>;

/** The name of a part: `runner`, … */
export type PartName = keyof typeof PARTS;

/** The parts by name, with their rules. */
export const PART_RULES = Object.entries(PARTS) as readonly (readonly [PartName, PartRule])[];

/** What Volley itself puts into bundles. */
export interface RuntimeFiles {
  /** Text without apostrophes. */
  readonly bootstrap: Buffer;
  /** The {@link PARTS}, packed. */
  readonly parts: Readonly<Partial<Record<PartName, Buffer>>>;
  /** All actions, as JSON: {@link ActionModules}. */
  readonly actions: Buffer;
  /** True for the installed package, whose parts are packed as tightly as possible; false for parts built from source in a moment. */
  readonly isTight: boolean;
}

/** The actions as modules, one for each source file: a bundle holds those that its playbook reaches. */
export interface ActionModules {
  /** The module that defines each action. */
  readonly actions: Readonly<Record<string, string>>;
  readonly modules: Readonly<Record<string, ActionModule>>;
}

/** One file of source. */
export interface ActionModule {
  /** A function that is given `require`, and returns the exports. */
  readonly code: string;
  /** The other modules that it imports. */
  readonly needs: readonly string[];
}
