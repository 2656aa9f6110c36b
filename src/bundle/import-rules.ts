import { resolve } from "node:path";
import type { Metafile, Plugin } from "esbuild";
import { VolleyError } from "../core/errors.ts";

/** The folders of `src/` that a folder may import from besides itself, types included. */
interface FolderRule {
  readonly imports: readonly string[];
  /** True when the folder's code may use Node's own modules. */
  readonly node: boolean;
  /** True when the folder's code may be part of a bundle. */
  readonly rides: boolean;
}

/** The rule for importing a package of npm. */
interface PackageRule {
  /** Folders, or paths below `src/` that the importing file's path begins with. */
  readonly homes: readonly string[];
  /** True when a playbook may bring the package to a host. */
  readonly rides: boolean;
}

const onHosts = { node: true, rides: true } as const;
const onController = { node: true, rides: false } as const;
const WHOLE_HOST = ["core", "system", "vars", "template", "actions", "engine", "agent"] as const;

/**
 * The import rules, the one place where they stand. `test/architecture.test.ts` compares every import with them,
 * ARCHITECTURE.md shows them, and {@link refuseForbidden} keeps what does not ride out of bundles.
 */
export const FOLDERS: Readonly<Record<string, FolderRule>> = {
  core: { imports: [], node: false, rides: true },
  system: { imports: ["core"], ...onHosts },
  yaml: { imports: ["core"], node: false, rides: true },
  vars: { imports: ["core"], node: false, rides: true },
  "vars/secrets": { imports: ["core", "vars"], ...onController },
  // Names of hosts, their ranges, and patterns: a carried bundle picks its plays by them.
  patterns: { imports: ["core", "system"], ...onHosts },
  template: { imports: ["core", "yaml", "vars"], ...onHosts },
  actions: { imports: ["core", "system"], ...onHosts },
  engine: { imports: ["core", "system", "vars", "template"], ...onHosts },
  agent: { imports: ["core", "system", "vars", "template", "engine", "patterns"], ...onHosts },
  direct: { imports: ["core", "system", "template", "engine", "agent", "transport"], ...onController },
  "ansible/config": { imports: ["core"], ...onController },
  // Files of the plugin `constructed` hold expressions.
  inventory: {
    imports: ["core", "system", "yaml", "vars", "vars/secrets", "template", "patterns"],
    ...onController,
  },
  transport: { imports: ["core", "system"], ...onController },
  bundle: { imports: ["core", "system", "template", "ansible", "ansible/config"], ...onController },
  // Only how names fold into sets.
  reporter: { imports: ["core", "patterns"], ...onController },
  controller: {
    imports: [
      ...WHOLE_HOST.filter((name) => name !== "actions"),
      "ansible",
      "ansible/config",
      "direct",
      "bundle",
      "inventory",
      "patterns",
      "vars/secrets",
      "transport",
    ],
    ...onController,
  },
  lint: {
    imports: [
      ...["core", "yaml", "vars", "template", "actions", "ansible", "ansible/config"],
      ...["bundle", "controller"],
    ],
    ...onController,
  },
  image: { imports: ["core", "system", "yaml", "agent", "bundle", "controller"], ...onController },
  fanout: { imports: ["core", "system", "patterns", "transport"], ...onController },
  // A program's fleet: connections that are kept, and all that can be done over them.
  connect: {
    imports: [
      ...["core", "system", "vars", "template", "engine", "agent", "direct", "bundle", "inventory"],
      ...["patterns", "vars/secrets", "transport", "controller", "fanout"],
    ],
    ...onController,
  },
  compare: {
    imports: ["core", "vars/secrets", "transport", "controller", "reporter"],
    ...onController,
  },
  embedded: { imports: ["core", "system"], ...onController },
  // Runs that workers carry out, which find their hosts in a queue.
  queue: {
    imports: [...["core", "system", "vars", "vars/secrets", "bundle", "controller", "direct", "inventory"]],
    ...onController,
  },
  // Bundles that this machine carries out itself.
  pull: { imports: ["core", "system", "agent", "bundle"], ...onController },
  cli: {
    imports: [
      "pull",
      "core",
      "system",
      "ansible/config",
      "controller",
      "connect",
      "fanout",
      "compare",
      "reporter",
      "inventory",
      "patterns",
      "vars/secrets",
      "transport",
      "bundle",
      "convert",
      "lint",
      "image",
      "queue",
    ],
    ...onController,
  },
  ansible: {
    imports: ["core", "system", "yaml", "vars", "template", "actions", "engine", "ansible/config"],
    ...onHosts,
  },
  convert: { imports: ["core", "system", "vars", "actions", "ansible", "ansible/config"], ...onController },
  demo: { imports: [], node: false, rides: true },
  starter: { imports: [], node: false, rides: true },
  "index.ts": { imports: ["actions", "playbook-api.ts"], node: false, rides: true },
  "playbook-api.ts": { imports: ["core", "actions"], node: false, rides: true },
  "controller.ts": { imports: ["core", "controller", "connect", "vars/secrets"], ...onController },
  "testing.ts": { imports: ["controller", "embedded"], ...onController },
};

/** The packages of npm that Volley depends on. */
export const PACKAGES: Readonly<Record<string, PackageRule>> = {
  valibot: { homes: ["actions", "cli/reference/", "convert", "demo", "starter"], rides: true },
  nunjucks: { homes: ["template"], rides: true },
  yaml: { homes: ["yaml"], rides: true },
  // The embedded fleet is the other end of the same protocol.
  ssh2: { homes: ["transport/ssh/", "embedded"], rides: false },
  esbuild: { homes: ["bundle"], rides: false },
  archiver: { homes: ["bundle"], rides: false },
  "tar-stream": { homes: ["bundle/runtimes/"], rides: false },
  aws4fetch: { homes: ["queue/bundles/"], rides: false },
  "age-encryption": { homes: ["vars/secrets", "queue/bundles/"], rides: false },
  "p-limit": { homes: ["controller", "connect"], rides: false },
  pino: { homes: ["controller"], rides: false },
  ink: { homes: ["reporter/ink/"], rides: false },
  react: { homes: ["reporter/ink/"], rides: false },
  commander: { homes: ["cli"], rides: false },
  bullmq: { homes: ["queue"], rides: false },
  ioredis: { homes: ["queue"], rides: false },
  "prom-client": { homes: ["queue"], rides: false },
  "@xterm/headless": { homes: ["fanout/shell/"], rides: false },
  // Pure, so a playbook may use them as well.
  diff: { homes: ["reporter"], rides: true },
  "string-width": { homes: ["reporter"], rides: true },
};

/** An import across the rules that single files need, and the reason. */
interface ImportException {
  /** A file below `src/`, or a folder that ends in a slash. */
  readonly from: string;
  readonly to: string;
  readonly why: string;
}

export const EXCEPTIONS: readonly ImportException[] = [
  { from: "agent/parts.ts", to: "playbook-api.ts", why: "the runner gives playbooks what they import" },
  { from: "agent/parts.ts", to: "actions/valibot.ts", why: "the runner lends actions what all of them use" },
  {
    from: "agent/shared-core.ts",
    to: "actions/define.ts",
    why: "the runner lends actions what all of them use",
  },
  {
    from: "controller/prepare/read.ts",
    to: "index.ts",
    why: "the controller evaluates playbooks to know their plays",
  },
  {
    from: "lint/",
    to: "index.ts",
    why: "modules and parameters are those of the actions, and playbooks are evaluated to know their plays",
  },
  { from: "template/more/password.ts", to: "system/crypt.ts", why: "password_hash and htpasswd hash alike" },
  { from: "cli/demo.ts", to: "embedded/", why: "the demo brings its own fleet" },
  { from: "embedded/", to: "transport/sftp/codec.ts", why: "SFTP client and server share one codec" },
  {
    from: "embedded/host.ts",
    to: "transport/ssh/known-hosts.ts",
    why: "one way to write known_hosts and fingerprints",
  },
  { from: "cli/reference/", to: "index.ts", why: "the reference is made from the definitions" },
  { from: "cli/do/", to: "index.ts", why: "an action's arguments have the types of its parameters" },
  { from: "cli/do/", to: "actions/", why: "an action's arguments have the types of its parameters" },
  { from: "cli/do/", to: "ansible/", why: "an action is called as playbooks call it" },
  { from: "convert/", to: "index.ts", why: "modules become the actions that playbooks import" },
  { from: "cli/reference/", to: "playbook-api.ts", why: "all else that playbooks import is an action" },
  { from: "cli/reference/", to: "actions/", why: "the reference is made from the definitions" },
  { from: "cli/reference/", to: "template/", why: "the reference is made from the definitions" },
  {
    from: "pull/download.ts",
    to: "actions/network/",
    why: "pulls reach web servers, and proxies, as get_url does",
  },
  {
    from: "queue/bundles/",
    to: "actions/network/",
    why: "stores of bundles are web servers, reached as get_url reaches them",
  },
];

/** The folder of a path below `src/` that has a rule; of a file that stands in `src/` itself its name. */
export function folderOf(path: string): string {
  const [first, second] = path.split("/") as [string, string?];
  const below = `${first}/${second}`;
  return below in FOLDERS ? below : first;
}

/**
 * Fail with `BUNDLE_FORBIDDEN`, and the chain of imports, when an input of a build belongs to the controller.
 * `ownSource` is true for a build of Volley itself.
 */
export function refuseForbidden({ inputs }: Metafile, entry: string, ownSource: boolean): void {
  const importers = new Map<string, string>();
  const queue = [entry];
  for (let at = 0; at < queue.length; at++) {
    const input = queue[at]!;
    const why = whyForbidden(input, ownSource);
    if (why !== undefined) {
      const chain = [input];
      for (let from = importers.get(input); from !== undefined; from = importers.get(from))
        chain.unshift(from);
      throw new VolleyError("BUNDLE_FORBIDDEN", `${input} cannot run on a host: ${why}`, {
        hint: `imported through ${chain.join(" -> ")}`,
      });
    }
    for (const { path } of inputs[input]?.imports ?? []) {
      if (path === entry || importers.has(path)) continue;
      importers.set(path, input);
      queue.push(path);
    }
  }
}

/** Takes native modules that are not there for empty ones, so that {@link refuseForbidden} can tell who imports them. */
export const absentNativeModules: Plugin = {
  name: "absent native modules",
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /\.node$/ }, ({ path, resolveDir }) => ({
      path: resolve(resolveDir, path),
      namespace: "absent",
    }));
    onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "" }));
  },
};

/** The reason why an input cannot be in the build; undefined for one that can. */
function whyForbidden(input: string, ownSource: boolean): string | undefined {
  const parts = input.split("/");
  const modules = parts.lastIndexOf("node_modules");
  const ofController =
    modules >= 0
      ? PACKAGES[packageOf(parts.slice(modules + 1))]?.rides === false
      : ownSource && FOLDERS[folderOf(parts.slice(parts.lastIndexOf("src") + 1).join("/"))]?.rides === false;
  if (ofController) return "it belongs to the controller";
  return input.endsWith(".node") ? "it is compiled for one kind of machine" : undefined;
}

/** The name of a package by a path below `node_modules`. */
function packageOf([first = "", second = ""]: readonly string[]): string {
  return first.startsWith("@") ? `${first}/${second}` : first;
}
