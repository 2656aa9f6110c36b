// Builds dist/: the command line as scripts, what programs import as split ES modules, type declarations, and the parts
// that every bundle has.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build, transform } from "esbuild";
import { minify } from "terser";

const root = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { out: { type: "string" }, "no-types": { type: "boolean" } },
});
const startedAt = new Date();
const wanted = resolve(options.out ?? join(root, "dist"));
/** Takes its name once it is whole. */
const dist = `${wanted}.new`;
rmSync(dist, { recursive: true, force: true });

/** What takes as long to load as all else, for texts that are seldom met, waits for the first of them. */
const loadLate = {
  name: "load late",
  setup(build) {
    const isStatic = ({ kind }) => kind === "import-statement";
    build.onResolve({ filter: /^string-width$/ }, (given) =>
      isStatic(given)
        ? { path: given.path, namespace: "late package", pluginData: given.resolveDir }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "late package" }, ({ path, pluginData: resolveDir }) => ({
      contents: `let load; export default (...given) => (load ??= require(${JSON.stringify(path)}).default)(...given);`,
      resolveDir,
    }));
  },
};
const common = {
  absWorkingDir: root,
  bundle: true,
  minifySyntax: true,
  minifyWhitespace: true,
  platform: "node",
  target: "node20",
  jsx: "automatic",
  logLevel: "warning",
  plugins: [loadLate],
};
const modules = {
  ...common,
  outdir: dist,
  splitting: true,
  // Small pure libraries ride along, cut down to what is used: Node loads one file sooner than fifty.
  external: [
    "@xterm/headless",
    "archiver",
    "bullmq",
    "esbuild",
    "ink",
    "ioredis",
    "pino",
    "prom-client",
    "react",
    "react/jsx-runtime",
    "ssh2",
    "yaml",
  ],
  banner: {
    js: 'import { createRequire as volleyRequire } from "node:module"; const require = volleyRequire(import.meta.url);',
  },
  format: "esm",
  chunkNames: "chunks/[name]-[hash]",
};
await build({
  ...modules,
  entryPoints: {
    index: "src/index.ts",
    controller: "src/controller.ts",
    testing: "src/testing.ts",
    "bundle/build-actions": "src/bundle/build-actions.ts",
    "bundle/build-parts": "src/bundle/build-parts.ts",
    "bundle/own-parts": "src/bundle/own-parts.ts",
  },
});

const { actionFiles } = await import(pathToFileURL(join(dist, "bundle/build-actions.js")).href);
const { buildOwnParts } = await import(pathToFileURL(join(dist, "bundle/build-parts.js")).href);
const source = pathToFileURL(`${join(root, "src")}/`).href;

/**
 * An action is loaded when a playbook first names it: all of them take as long as all else. The chunk with all actions is
 * loaded with the first of them, because a playbook in YAML names none on the controller.
 */
const actionsLate = {
  name: "actions late",
  setup(build) {
    const index = join(root, "src/index.ts");
    const resolveDir = join(root, "src");
    const files = Object.entries(actionFiles(source));
    const module = (exports) => `module.exports = { ${exports.join(", ")} };`;
    // A file of this package would be an ES module, whose exports cannot be late.
    build.onResolve({ filter: /\/index\.ts$/ }, ({ path, resolveDir }) =>
      join(resolveDir, path) === index ? { path: index, namespace: "late" } : undefined,
    );
    build.onResolve({ filter: /^\.\/actions\.js$/ }, ({ path, namespace }) =>
      namespace === "late" ? { path, external: true } : undefined,
    );
    build.onLoad({ filter: /\.ts$/, namespace: "late" }, () => ({
      contents: module([
        '...require("./playbook-api.ts")',
        ...files.map(([name]) => `get ${name}() { return require("./actions.js").default.${name}; }`),
      ]),
      resolveDir,
    }));
    build.onResolve({ filter: /^volley:actions$/ }, ({ path }) => ({ path, namespace: "actions" }));
    build.onLoad({ filter: /.*/, namespace: "actions" }, () => ({
      contents: module(
        files.map(([name, file]) => `get ${name}() { return require("./${file}.ts").${name}; }`),
      ),
      resolveDir,
    }));
  },
};

/**
 * Ink waits when it is loaded, for WebAssembly and for its developers' tools; a script cannot wait. The layout's program
 * is compiled at once instead, and the tools stay out. Imported from node_modules, ink takes ten times as long to load.
 */
const inkInScript = {
  name: "ink in a script",
  setup(build) {
    const edit = (filter, change) =>
      build.onLoad({ filter }, ({ path }) => {
        const before = readFileSync(path, "utf8");
        const contents = change(before);
        if (contents === before) throw new Error(`${path} is not what build.mjs expects: ink was updated?`);
        return { contents };
      });
    edit(/[\\/]ink[\\/]build[\\/]reconciler\.js$/, (text) =>
      text.replaceAll("process.env['DEV'] === 'true'", "false"),
    );
    edit(/[\\/]yoga-layout[\\/]dist[\\/]binaries[\\/].*\.js$/, (text) =>
      text.replace(
        /"data:application\/octet-stream;base64,([\w+/=]+)"/,
        (_, wasm) => `""; loadYoga.wasm = "${wasm}"`,
      ),
    );
    edit(/[\\/]yoga-layout[\\/]dist[\\/]src[\\/]index\.js$/, (text) =>
      text.replace(
        "wrapAssembly(await loadYoga())",
        `wrapAssembly((() => {
          const module = {
            instantiateWasm: (imports, receive) => {
              const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(module.wasm, "base64")), imports);
              receive({ exports });
              return exports;
            },
          };
          loadYoga(module);
          return module;
        })())`,
      ),
    );
  },
};

// The command line is made of scripts, because V8 can keep what it compiles of these (src/cli/main.ts). esbuild splits
// modules only: the chunks are made into functions afterwards, each of which is called when a chunk first needs it.
const program = await build({
  ...common,
  entryPoints: {
    program: "src/cli/program.ts",
    early: "src/cli/persist/early.ts",
    actions: "volley:actions",
  },
  outdir: join(dist, "cli/program"),
  chunkNames: "[name]-[hash]",
  splitting: true,
  format: "esm",
  write: false,
  metafile: true,
  external: ["@xterm/headless", "bullmq", "cpu-features", "esbuild", "ioredis", "prom-client"],
  // React's development build takes a third more time for every frame.
  define: { "import.meta.url": "volleyUrl", "process.env.NODE_ENV": '"production"' },
  plugins: [
    loadLate,
    actionsLate,
    inkInScript,
    {
      name: "left outside",
      setup(build) {
        // Built where ssh2 is installed, or not: without it ssh2 uses what Node has.
        build.onResolve({ filter: /sshcrypto\.node$/ }, () => ({
          path: "ssh2/lib/protocol/crypto/build/Release/sshcrypto.node",
          external: true,
        }));
        // Nothing uses ssh2's agents for HTTP over SSH and pino's threads, which load all of Node's HTTP and its workers.
        build.onResolve({ filter: /\/http-agents\.js$|^thread-stream$/ }, ({ path }) => ({
          path,
          namespace: "empty",
        }));
        build.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "" }));
      },
    },
  ],
});
/** Chunks up to this size, in characters, are in one script: to open a file takes as long as to compile them. */
const SMALL_CHUNK = 24_000;
const scripts = new Map([["small.js", []]]);
for (const { path, text } of program.outputFiles) {
  const chunk = await asFunction(text);
  const name = basename(path);
  const script = chunk.length <= SMALL_CHUNK ? "small.js" : name;
  scripts.set(script, [...(scripts.get(script) ?? []), `${JSON.stringify(name)}:${chunk}`]);
}
const hash = createHash("sha256");
mkdirSync(join(dist, "cli/program"), { recursive: true });
for (const [name, chunks] of scripts) {
  const text = `({${chunks.join(",\n")}})`;
  hash.update(text);
  writeFileSync(join(dist, "cli/program", name), text);
}
// Tells the tests what a script has in it; the package goes without.
writeFileSync(join(dist, "cli/program/contents.json"), JSON.stringify(contentsOf(program.metafile)));
await build({
  ...common,
  entryPoints: ["src/cli/main.ts"],
  outfile: join(dist, "cli/main.js"),
  format: "cjs",
  define: { __PROGRAM_HASH__: JSON.stringify(hash.digest("hex")) },
});
// Node takes a module for twice as long to load as a script.
writeFileSync(join(dist, "cli/package.json"), '{ "type": "commonjs" }\n');
chmodSync(join(dist, "cli/main.js"), 0o755);
for (const shell of ["bash", "zsh", "fish"])
  cpSync(join(root, `src/cli/completion/volley.${shell}`), join(dist, `cli/completion/volley.${shell}`));
for (const name of ["demo", "starter"])
  cpSync(join(root, "src", name), join(dist, name), { recursive: true });

const { ownPartFiles } = await import(pathToFileURL(join(dist, "bundle/own-parts.js")).href);
const ownParts = await buildOwnParts(source, minify);
mkdirSync(join(dist, "agent"));
for (const [name, bytes] of ownPartFiles(ownParts)) writeFileSync(join(dist, "agent", name), bytes);

if (options["no-types"] !== true) {
  const require = createRequire(import.meta.url);
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
  execFileSync(
    process.execPath,
    [
      tsc,
      "--noEmit",
      "false",
      "--emitDeclarationOnly",
      "--declaration",
      "--rootDir",
      "src",
      "--outDir",
      dist,
      "-p",
      "tsconfig.build.json",
    ],
    { cwd: root, stdio: "inherit" },
  );
}
rmSync(wanted, { recursive: true, force: true });
renameSync(dist, wanted);
// Tells which sources are in it: those of that time.
utimesSync(wanted, startedAt, startedAt);

/** Node's own modules that take a millisecond or more to load, and that most commands never use. */
function lateModules() {
  const names =
    "(child_process|dns/promises|fs/promises|https?|readline/promises|stream/consumers|stream/promises|tls|worker_threads|zlib)";
  // Packages of CommonJS, such as commander, call esbuild's own `require`.
  const require = "(?:\\brequire|\\(0,\\w+\\.__require\\))";
  return new RegExp(`__toESM\\(require\\("node:${names}"\\)\\)|${require}\\("node:${names}"\\)`, "g");
}

/**
 * Make a function of a chunk, which is a module that esbuild wrote: `import` and `export` become calls of the function's
 * parameters, which src/cli/load.ts gives.
 */
async function asFunction(chunk) {
  const named = chunk.replace(/\bimport\((?="(\.\/)?)/g, (_, isChunk) =>
    isChunk === undefined ? "volleyImport(" : "volleyLoad(",
  );
  const { code } = await transform(named, {
    format: "cjs",
    minifySyntax: true,
    minifyWhitespace: true,
    platform: "node",
    target: common.target,
  });
  // The helpers that esbuild puts before the exports of every chunk take as long to load as a small chunk.
  const start =
    /^.*?var stdin_exports=\{\};(?:__export\(stdin_exports,(.*?)\);)?module\.exports=__toCommonJS\(stdin_exports\);/s.exec(
      code,
    );
  if (start === null) throw new Error("a chunk does not begin as build.mjs expects: esbuild was updated?");
  const body = code
    .slice(start[0].length)
    .replace(/0&&\(module\.exports=\{[^{}]*\}\);\s*$/, "")
    .replace(lateModules(), (_, name, alone) => `volleyLate("node:${name ?? alone}")`)
    // In templates esbuild leaves what is not ASCII; escaped, the program is read in a third of the time.
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const parameters =
    "exports,volleyExport,__toESM,require,volleyLate,volleyLoad,volleyImport,volleyUrl,__filename,__dirname";
  return `function(${parameters}){"use strict";volleyExport(exports,${start[1] ?? "{}"});${body}}`;
}

/** Return the sources of each chunk. */
function contentsOf({ outputs }) {
  return Object.fromEntries(
    Object.entries(outputs).map(([path, { inputs }]) => [basename(path), Object.keys(inputs)]),
  );
}
