import { join, posix } from "node:path";
import type { FileNode, Node } from "../ansible/ir.ts";
import { mappingOf, parseSource, readText } from "../ansible/load/read.ts";
import { findMain } from "../ansible/load/roles.ts";
import { isDict } from "../core/values/value.ts";
import { actionNames } from "./arguments.ts";
import { printStatements, quote, type Statement } from "./code.ts";
import { RoleComments } from "./comments.ts";
import type { RoleConversion } from "./conversion.ts";
import { convertHandlers, type FoundHandler, handlersOf, notifiedBy } from "./handlers.ts";
import { includeDependencies } from "./include-role.ts";
import { NOTHING_AROUND } from "./keywords.ts";
import { camelCase, kebabCase, roleName } from "./names.ts";
import type { RoleSource } from "./role-source.ts";
import { convertVars, type RoleVars, textsOfRole } from "./role-vars.ts";
import { namesStatement, type Scope } from "./scope.ts";
import { convertNodes } from "./tasks.ts";
import { refuse } from "./values.ts";

/** A role in TypeScript, as files. */
export interface ConvertedRole {
  readonly name: string;
  /** Texts of files, by path within the role's new directory. */
  readonly texts: Readonly<Record<string, string>>;
  /** Paths of files that are copied as they are. */
  readonly copies: readonly string[];
  /** Lines for people: what the play must do. */
  readonly notes: readonly string[];
}

/** Convert a role in Ansible's YAML to TypeScript. Fails with `PLAYBOOK_INVALID`, file and line for what cannot be said there. */
export function convertRole(source: RoleSource, name = source.role.name): ConvertedRole {
  const main = Object.keys(source.tasks).find((path) =>
    /^tasks\/main\.(?:ya?ml|json)$|^tasks\/main$/.test(path),
  );
  const vars = convertVars(source, textsOfRole(source));
  const handlers = handlersOf(source);
  const files = new TaskFiles(source, vars, handlers);
  if (main !== undefined) files.functionOf(main);
  const hasDependencies = source.role.dependencies.length > 0;
  const texts: Record<string, string> = files.write();
  const hasHandlers = handlers.length > 0;
  if (hasHandlers) texts["handlers.ts"] = files.writeHandlers();
  if (hasDependencies) texts["dependencies.ts"] = files.writeDependencies();
  texts["vars.ts"] = vars.text;
  if (vars.filesText !== undefined && files.readsVarsFiles) texts["vars-files.ts"] = vars.filesText;
  const safe = roleName(name);
  texts["role.ts"] = roleText({
    ...{ name: safe, source, vars, hasDependencies, hasHandlers },
    hasTasks: main !== undefined,
    delegates: files.delegates,
  });
  return {
    name: safe,
    texts,
    copies: [...source.files, ...source.templates],
    notes: files.notes,
  };
}

/** The functions of a role's files of tasks, which call each other. */
class TaskFiles {
  readonly #source: RoleSource;
  readonly #vars: RoleVars;
  readonly #handlers: readonly FoundHandler[];
  /** The name of each function, by the path of its file. */
  readonly #names = new Map<string, { readonly name: string; readonly file: string }>();
  readonly #reached = new Set<string>();
  readonly #texts: Record<string, string> = {};
  readonly #comments: RoleComments;
  readsVarsFiles = false;
  /** True once a task is delegated to another machine. */
  delegates = false;
  readonly notes: string[] = [];

  constructor(source: RoleSource, vars: RoleVars, handlers: readonly FoundHandler[]) {
    this.#source = source;
    this.#vars = vars;
    this.#handlers = handlers;
    this.#comments = new RoleComments(source);
    this.#nameFunctions();
  }

  /** Name the functions of all files of tasks, so that nothing else gets their names. */
  #nameFunctions(): void {
    const taken = new Set([...actionNames, ...Object.keys(HELPERS)]);
    const files = new Set<string>();
    for (const path of Object.keys(this.#source.tasks)) {
      const base = path.replace(/^tasks\//, "").replace(/\.(?:ya?ml|json)$/, "");
      const name = camelCase(base, taken, "Tasks");
      taken.add(name);
      const plain = posix.join("tasks", ...base.split("/").map(kebabCase));
      let file = `${plain}.ts`;
      for (let count = 2; files.has(file); count++) file = `${plain}-${count}.ts`;
      files.add(file);
      this.#names.set(path, { name, file });
    }
  }

  /** Return the function of a file of tasks, which is converted before {@link write} returns. */
  functionOf(path: string): { readonly name: string; readonly file: string } {
    this.#reached.add(path);
    return this.#names.get(path)!;
  }

  /** Convert all files that are reached; a file may reach others. */
  write(): Record<string, string> {
    // The set grows while it is walked.
    for (const path of this.#reached) {
      const { name, file } = this.#names.get(path)!;
      this.#texts[file] = this.#convertFile(path, name, file);
    }
    return { ...this.#texts };
  }

  #convertFile(path: string, name: string, file: string): string {
    const found = this.#source.tasks[path];
    const nodes = contentOf(path, found);
    return this.#module(file, `The tasks of ${path}.`, name, true, (conversion, scope) =>
      convertNodes(nodes, conversion, NOTHING_AROUND, scope, path),
    );
  }

  writeHandlers(): string {
    return this.#module(
      "handlers.ts",
      "Declare the role's handlers.",
      "declareHandlers",
      false,
      (conversion, scope) => convertHandlers(this.#handlers, conversion, scope),
    );
  }

  writeDependencies(): string {
    return this.#module(
      "dependencies.ts",
      "Carry out the roles that this one depends on, unless the play has.",
      "dependencies",
      true,
      (conversion, scope) => includeDependencies(this.#source.role.dependencies, conversion, scope),
    );
  }

  /** Write a module of one function. */
  #module(
    file: string,
    doc: string,
    name: string,
    isAsync: boolean,
    convert: (conversion: RoleConversion, scope: Scope) => readonly Statement[],
  ): string {
    const actions = new Set<string>();
    const functions = new Map<string, string>();
    let readsVars = false;
    const up = posix.relative(posix.dirname(file), ".") || ".";
    const conversion: RoleConversion = {
      vars: this.#vars,
      importAction: (action) => {
        actions.add(action);
        return localName(action);
      },
      importTasks: (path) => {
        const called = this.functionOf(path);
        if (called.file !== file) functions.set(called.name, called.file);
        return called.name;
      },
      importVarsFiles: () => {
        readsVars = true;
        this.readsVarsFiles = true;
        return "varsFiles";
      },
      delegates: () => {
        this.delegates = true;
      },
      commentsAt: (at) => this.#comments.at(at),
      noteRole: (role, at) =>
        void this.notes.push(
          `${at}: the role ${role} stays in YAML: the playbook must have it among its roles`,
        ),
      note: (at, text) => void this.notes.push(`${at}: ${text}`),
      taskFiles: Object.keys(this.#source.tasks),
      notified: (wanted, at) => {
        const names = notifiedBy(this.#handlers, wanted);
        if (names.length === 0 && !wanted.includes("{{"))
          refuse(
            at,
            `the role has no handler "${wanted}"`,
            "a handler of the play has no form in a role in TypeScript",
          );
        return names;
      },
    };
    const scope: Scope = {
      context: "role",
      used: new Set(),
      results: new Map(),
      hidden: new Set(),
      taken: new Set([
        "role",
        name,
        ...actionNames,
        ...Object.keys(HELPERS),
        ...[...this.#names.values()].map((each) => each.name),
      ]),
    };
    const body = convert(conversion, scope);
    const statements = [...namesStatement(scope), ...body];
    const usesRole = scope.used.size > 0 || printStatements(body, "").includes("role");
    const imports = [
      ...(actions.size === 0
        ? []
        : [`import { ${[...actions].sort().map(importText).join(", ")} } from "volley";`]),
      ...[
        ...[...functions].map(([called, from]) => ({
          from: relativeImport(file, from),
          text: `{ ${called} }`,
        })),
        ...(readsVars ? [{ from: `${up}/vars-files.ts`, text: "{ varsFiles }" }] : []),
        { from: `${up}/vars.ts`, text: "type { Role }", isType: true },
      ]
        .sort((a, b) => compareImports(a.from, b.from))
        .map(({ from, text }) => `import ${text} from ${quote(from)};`),
    ];
    const parameter = usesRole ? "role" : "_role";
    const head = isAsync
      ? `export async function ${name}(${parameter}: Role): Promise<void> {`
      : `export function ${name}(${parameter}: Role): void {`;
    return `${wrapImports(imports)}\n\n/** ${doc} */\n${head}${statements.length === 0 ? "" : `\n${printStatements(statements, "  ")}`}}\n`;
  }
}

/** Names of the context that code may use, which no constant takes. */
const HELPERS = {
  assertions: 0,
  call: 0,
  check: 0,
  end: 0,
  facts: 0,
  first: 0,
  firstIfAny: 0,
  flag: 0,
  flushHandlers: 0,
  handler: 0,
  holds: 0,
  inEnvironment: 0,
  include: 0,
  includeRole: 0,
  items: 0,
  learn: 0,
  lookup: 0,
  number: 0,
  place: 0,
  register: 0,
  registered: 0,
  registers: 0,
  rescue: 0,
  set: 0,
  skip: 0,
  task: 0,
  text: 0,
  title: 0,
  vars: 0,
  withItem: 0,
  withOptions: 0,
  withParameters: 0,
  withVars: 0,
};

/** The name of an action in a file; `package` is a word of JavaScript's. */
function localName(action: string): string {
  return action === "package" ? "packageAction" : action in HELPERS ? `${action}Action` : action;
}

function importText(action: string): string {
  const local = localName(action);
  return local === action ? action : `${action} as ${local}`;
}

function wrapImports(imports: readonly string[]): string {
  return imports
    .map((line) => {
      const [, names, from] = /^import \{ (.*) \} from (.*);$/.exec(line) ?? [];
      if (line.length <= 110 || names === undefined) return line;
      return `import {\n${names
        .split(", ")
        .map((name) => `  ${name},\n`)
        .join("")}} from ${from};`;
    })
    .join("\n");
}

function relativeImport(from: string, to: string): string {
  const path = posix.relative(posix.dirname(from), to);
  return path.startsWith(".") ? path : `./${path}`;
}

/** Farther files first, as Biome sorts imports. */
function compareImports(a: string, b: string): number {
  const depth = (path: string): number => (path.startsWith("..") ? 0 : 1);
  const sorted = (path: string): string => path.replaceAll(".", "\0");
  return depth(a) - depth(b) || (sorted(a) < sorted(b) ? -1 : 1);
}

function contentOf(path: string, file: FileNode<readonly Node[]> | undefined): readonly Node[] {
  if (file === undefined) return refuse(path, "this file is not there");
  if ("content" in file) return file.content;
  const [, place = path, text = file.error] = /^(\S+:\d+(?::\d+)?): (.*)$/s.exec(file.error) ?? [];
  return refuse(place, text);
}

interface RoleParts {
  readonly name: string;
  readonly source: RoleSource;
  readonly vars: RoleVars;
  readonly hasDependencies: boolean;
  readonly hasHandlers: boolean;
  readonly hasTasks: boolean;
  readonly delegates: boolean;
}

function roleText({
  name,
  source,
  vars,
  hasDependencies,
  hasHandlers,
  hasTasks,
  delegates,
}: RoleParts): string {
  const own = [...(vars.hasDefaults ? ["defaults"] : []), ...(vars.hasVars ? ["vars"] : [])];
  const options = own.length === 0 ? "" : `, { ${own.join(", ")} }`;
  const description = descriptionOf(source);
  const imports = [
    'import { ansibleTasks, defineRole } from "volley";',
    ...(hasDependencies ? ['import { dependencies } from "./dependencies.ts";'] : []),
    ...(hasHandlers ? ['import { declareHandlers } from "./handlers.ts";'] : []),
    ...(hasTasks ? ['import { main } from "./tasks/main.ts";'] : []),
    `import { ${["declared", ...own].sort().join(", ")} } from "./vars.ts";`,
  ];
  const doc = `${description === undefined ? "" : `${description} `}Converted from the Ansible role ${source.role.name}.`;
  return `${imports.join("\n")}

/** ${doc.replaceAll("*/", "* /")} */
export default defineRole({
  name: ${quote(name)},
  vars: declared,
${delegates ? "  delegates: true,\n" : ""}  async tasks(context) {
    const role = ansibleTasks(context${options});
${hasDependencies ? "    await dependencies(role);\n" : ""}${hasHandlers ? "    declareHandlers(role);\n" : ""}${hasTasks ? "    await main(role);\n" : ""}  },
});
`;
}

/** The description of a role in its meta. */
function descriptionOf({ role: { directory } }: RoleSource): string | undefined {
  const file = findMain(join(directory, "meta"), "main");
  if (file === undefined) return undefined;
  const source = parseSource(readText(file, "meta/main.yml"), "meta/main.yml", () => null);
  const info = mappingOf(source, source.reader.root)?.entries.get("galaxy_info")?.node ?? null;
  const value = source.reader.value(info);
  const description = isDict(value) && !(value instanceof Map) ? value.description : undefined;
  if (typeof description !== "string" || description.trim() === "") return undefined;
  const text = description.trim().replace(/\s+/g, " ");
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
