import { createHash } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { gunzipSync, gzipSync } from "node:zlib";
import { extract, pack } from "tar-stream";
import type { NodeBuild } from "../../../src/bundle/runtimes/builds.ts";
import type { RuntimeArch } from "../../../src/core/runtimes.ts";
import { makeElf } from "./elf-file.ts";

export const VERSION = "24.0.1";

/** Something like Node, which needs two libraries. */
export function programFor(arch: RuntimeArch): Buffer {
  const interpreter = arch === "x64" ? "/lib64/ld-linux-x86-64.so.2" : "/lib/ld-linux-aarch64.so.1";
  const requires = { "libc.so.6": ["GLIBC_2.28"] };
  return makeElf({ arch, interpreter, needed: ["libc.so.6", "libm.so.6"], requires });
}

/** Make a package as npm packs them, of these files, and the build that names it. */
export async function makePackage(
  arch: RuntimeArch,
  files: Readonly<Record<string, string | Buffer>> = {
    LICENSE: "do what you like\n",
    "README.md": "# Node\n",
    "bin/node": programFor(arch),
    "include/node/node.h": "x".repeat(10_000),
  },
): Promise<{ readonly build: NodeBuild; readonly bytes: Buffer }> {
  const archive = pack();
  const name = `node-linux-${arch}`;
  const manifest = JSON.stringify({ name, version: VERSION, bin: { node: "bin/node" } });
  for (const [path, content] of Object.entries({ "package.json": manifest, ...files }))
    archive.entry({ name: `package/${path}`, mode: 0o644, mtime: new Date(499_162_500_000) }, content);
  archive.finalize();
  const bytes = gzipSync(await buffer(archive));
  return { build: buildOf(arch, bytes), bytes };
}

/** The build that names a package of these bytes. */
export function buildOf(arch: RuntimeArch, bytes: Buffer): NodeBuild {
  const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  return { arch, version: VERSION, package: `node-linux-${arch}`, integrity, bytes: bytes.length };
}

/** The files of a `.tar.gz`: mode, owner, time and content by name. */
export async function readArchive(
  bytes: Buffer,
): Promise<
  Readonly<
    Record<
      string,
      { readonly mode: number; readonly owner: string; readonly time: number; readonly content: Buffer }
    >
  >
> {
  const reader = extract();
  reader.end(gunzipSync(bytes));
  const found: Record<string, { mode: number; owner: string; time: number; content: Buffer }> = {};
  for await (const entry of reader) {
    const { name, mode, uid, gid, uname, mtime } = entry.header;
    found[name] = {
      mode,
      owner: `${uid}:${gid}${uname}`,
      time: mtime.getTime(),
      content: await buffer(entry),
    };
  }
  return found;
}

/** Serve a registry of npm, and return its address. */
export async function serve(listener: RequestListener): Promise<{ readonly url: string; close(): void }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url, close };
}

/** The listener of a registry that has one package. */
export function registryOf(build: NodeBuild, bytes: Buffer): RequestListener {
  return ({ url, headers }, response) => {
    if (url === `/${build.package}`) {
      const tarball = `http://${headers.host}/${build.package}.tgz`;
      const dist = { tarball, integrity: buildOf(build.arch, bytes).integrity };
      const { package: name, version } = build;
      response.setHeader("content-type", "application/json");
      response.end(
        JSON.stringify({ name, "dist-tags": {}, versions: { [version]: { name, version, dist } } }),
      );
    } else if (url === `/${build.package}.tgz`) response.end(bytes);
    else response.writeHead(404).end("{}");
  };
}
