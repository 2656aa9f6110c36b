import type { Role } from "../core/role.ts";
import type { Vars } from "../core/values/vars.ts";

// The tree that the loader makes of a playbook and its roles, and the interpreter carries out. The bundle holds the tree
// as JSON. Every path in the tree is relative to the playbook's directory, with `/`: `roles/web/tasks/main.yml`.

/** A playbook with all that its plays may reach. */
export interface PlaybookTree {
  /** The playbook's file name. */
  readonly file: string;
  /** The playbook's directory, relative to the project of a playbook in TypeScript. */
  readonly below?: string;
  readonly plays: readonly PlayNode[];
  /** Roles by the path of their directory. */
  readonly roles: Readonly<Record<string, RoleNode>>;
  /** Files of tasks, by path. */
  readonly tasks: Readonly<Record<string, FileNode<readonly Node[]>>>;
  /** Files of vars, by path. */
  readonly vars: Readonly<Record<string, FileNode<Vars>>>;
  /** Names of roles that includes may name, with their directories; under `BASE:NAME`, too, for plays of that base. */
  readonly roleNames: Readonly<Record<string, string>>;
  /** The modules of one's own, by name, with their path and kind. */
  readonly library: Readonly<Record<string, LibraryNode>>;
  /** The modules of the groups that `module_defaults` names, by `group/NAME`. */
  readonly actionGroups: Readonly<Record<string, readonly string[]>>;
  /** Settings that the interpreter asks for, from ansible.cfg and ANSIBLE_…. */
  readonly settings: TreeSettings;
  /** Set where something is encrypted with Ansible Vault: the files of vars that are so as a whole, by path, with their index in the Job. */
  readonly vaulted?: { readonly files: Readonly<Record<string, number>> };
  /** True when something asks for more of the host's Python than its place: the host then has to run it. */
  readonly asksForPython?: boolean;
  /** The paths of the files for hosts that are encrypted with Ansible Vault. */
  readonly sealedFiles?: readonly string[];
  /** Why hosts cannot carry it out by themselves. */
  readonly needs: Needs;
}

/** Why only a controller can carry a playbook out; nothing: hosts can by themselves. */
export interface Needs {
  /** It asks for files, programs, lookups or machines that only the controller has. */
  readonly controller?: string | undefined;
  /** Its hosts go through it together, or ask for each other: that matters where there are several. */
  readonly others?: string | undefined;
  /** The place of the first `debugger`, which is passed over. */
  readonly debugger?: string | undefined;
  /** It adds hosts (`add_host`), so that later plays may be for these. */
  readonly addsHosts?: boolean;
  /** The names of the groups that it makes (`group_by`), with `*` for what only a run knows: later plays may be for their hosts. */
  readonly makesGroups?: readonly string[];
  /** It reads the vars of other hosts. */
  readonly readsHosts?: boolean;
}

/** Settings of Ansible that change how a playbook is carried out. */
export interface TreeSettings {
  readonly native?: boolean;
  readonly forceHandlers?: boolean;
  /** `implicit`, `explicit` or `smart`. */
  readonly gathering?: string;
  readonly errorOnUndefined?: boolean;
  /** False where a handler that is notified, and nobody has, is only warned of. */
  readonly errorOnMissingHandler?: boolean;
  readonly strategy?: string;
  readonly anyErrorsFatal?: boolean;
  readonly noLog?: boolean;
  /** Seconds that a task may take; 0 for no limit. */
  readonly taskTimeout?: number;
  /** Seconds between looks at a job of `async`. */
  readonly pollInterval?: number;
  /** The value of `ansible_managed`. */
  readonly managed?: string;
  readonly gatherSubset?: readonly string[];
  /** Seconds. */
  readonly gatherTimeout?: number;
  readonly factPath?: string;
  /** False where facts are in `ansible_facts` alone, and no vars by themselves. */
  readonly injectFacts?: boolean;
}

/** A file of the tree; a file that cannot be read fails only when a task reaches it. */
export type FileNode<T> = { readonly content: T } | { readonly error: string };

/** A module in a `library` directory. */
export interface LibraryNode {
  readonly path: string;
  /**
   * `json`: a script that takes its arguments as a JSON file; `words`: one that takes them as a file of `name=value`;
   * `binary`: a program, which takes JSON; `python`: needs Ansible's Python.
   */
  readonly kind: "json" | "words" | "binary" | "python";
}

/** A play. */
export interface PlayNode {
  readonly at: string;
  readonly name: string;
  readonly hosts: string;
  readonly keys: Keys;
  readonly vars: Vars;
  readonly roles: readonly RoleUseNode[];
  readonly preTasks: readonly Node[];
  readonly tasks: readonly Node[];
  readonly postTasks: readonly Node[];
  readonly handlers: readonly Node[];
  /** The path of the file the play stands in. */
  readonly file: string;
  /** The path of the playbook's directory, of one that was imported its own: roles and files are looked for there. */
  readonly base: string;
}

/** Keywords as they are written; conditions and tags are lists. */
export type Keys = Readonly<Record<string, unknown>>;

/** A statement of a list of tasks. */
export type Node = TaskNode | BlockNode | RoleStatementNode;

/** A task. */
export interface TaskNode {
  readonly kind: "task";
  /** `tasks/main.yml:3:5` */
  readonly at: string;
  readonly name?: string;
  /** The module's name without a collection that Volley knows: `command`. */
  readonly module: string;
  /** The module's name as it was written, where that is another: a task without a name is called so. */
  readonly written?: string;
  /** Arguments by name, `_raw_params` for free text; a text for `args: "{{ … }}"`. */
  readonly args: Readonly<Record<string, unknown>>;
  /** The variable whose dict the arguments are added to: `args: "{{ x }}"`. */
  readonly argsFrom?: string;
  readonly keys: Keys;
}

/** A block, or tasks of an `import_tasks`. */
export interface BlockNode {
  readonly kind: "block";
  readonly at: string;
  readonly name?: string;
  readonly keys: Keys;
  readonly block: readonly Node[];
  readonly rescue: readonly Node[];
  readonly always: readonly Node[];
  /** The path of the file that was imported. */
  readonly imported?: string;
  /** Set for an `include` that is an import: those of its vars that are parameters. */
  readonly params?: Vars;
}

/** An `import_role`: the tasks of a role in place. */
export interface RoleStatementNode {
  readonly kind: "role";
  readonly at: string;
  readonly use: RoleUseNode;
}

/** A role with what its user gives it. */
export interface RoleUseNode {
  readonly at: string;
  readonly name: string;
  /** Key of the role in the tree; undefined for a role that was not found. */
  readonly role?: string;
  /** The reason why the role was not found. */
  readonly missing?: string;
  /** The vars given as parameters: over everything but includes and extra vars. */
  readonly params: Vars;
  readonly keys: Keys;
  readonly from: RoleFrom;
  /** `allow_duplicates` of the statement: false for a role that runs once, whatever its meta says. */
  readonly allowDuplicates?: unknown;
  /** `rolespec_validate`: false where the role's specs of arguments do not count. */
  readonly validates?: unknown;
}

/** The files to take instead of `main`. */
export interface RoleFrom {
  readonly tasks?: string;
  readonly vars?: string;
  readonly defaults?: string;
  readonly handlers?: string;
}

/** A role. */
export interface RoleNode {
  readonly name: string;
  /** The path of its directory. */
  readonly path: string;
  readonly dependencies: readonly RoleUseNode[];
  readonly allowDuplicates: boolean;
  /** `meta/argument_specs.yml`, by entry point. */
  readonly argumentSpecs: Readonly<Record<string, unknown>>;
  /** The path of its file, for a role in TypeScript: nothing else of it is in the tree. */
  readonly script?: string;
  /** `namespace.name` of the collection the role is in. */
  readonly collection?: string;
}

/** The roles in TypeScript of a playbook, by the path of their directory. */
export type ScriptRoles = Readonly<Record<string, Role<unknown>>>;
