import { statSync } from "node:fs";
import { join, resolve } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { getTree } from "../fanout/transfer/get-tree.ts";
import { scanLocalTree } from "../fanout/transfer/local-tree.ts";
import { putTree } from "../fanout/transfer/put-tree.ts";
import type { FileEvent, TransferListener, TransferResult } from "../fanout/transfer/result.ts";
import { directoriesOf, shareTransfer, transferHost } from "../fanout/transfer/transfer.ts";
import { becomeOn, type Core, type Member } from "./members.ts";
import { type HostEnd, Results } from "./results.ts";
import { startWork, type Work } from "./work.ts";

/** Options of sending and fetching files. */
export interface TransferOptions {
  /** As of a command. */
  readonly become?: boolean | string;
  /** Keep modes and times. Default false. */
  readonly preserve?: boolean;
  /** Compare files that are there by content even when size and time are equal. Default false. */
  readonly checksum?: boolean;
  /** Take the targets of links in place of links. Default false. */
  readonly follow?: boolean;
  /** Send nothing, and tell what would be sent. Default false. */
  readonly check?: boolean;
  /** Called with each finished file, directory and link. */
  readonly onFile?: (host: string, file: FileEvent) => void;
  /** Called with bytes that were just sent, or found to be there already. */
  readonly onProgress?: (host: string, bytes: number, how: "sent" | "kept") => void;
  /** Its abort closes what is under way; a later transfer goes on there. */
  readonly signal?: AbortSignal;
}

/** The result of a transfer on one host. */
export interface FilesResult extends HostEnd, Omit<TransferResult, "error" | "host" | "noHashes"> {}

/** Send files and trees to these hosts; see `volley put`. */
export function put(
  members: readonly Member[],
  core: Core,
  from: string | readonly string[],
  to: string,
  options: TransferOptions = {},
): Work<FilesResult> {
  const { follow = false } = options;
  return transfer(members, core, options, async () => {
    const sources = pathsOf(from).map((path) => localPath(core, path));
    const tree = await scanLocalTree({ sources, destination: checkPath(to), follow });
    return () => (context) => putTree(context, tree, to);
  });
}

/** Fetch files and trees from these hosts, each into a directory of its own below `to`; see `volley get`. */
export function get(
  members: readonly Member[],
  core: Core,
  from: string | readonly string[],
  to: string,
  options: TransferOptions & { readonly isFlat?: boolean } = {},
): Work<FilesResult> {
  const { follow = false, isFlat = false } = options;
  return transfer(members, core, options, async () => {
    const sources = pathsOf(from);
    const root = localPath(core, checkPath(to));
    if (statSync(root, { throwIfNoEntry: false })?.isDirectory() === false)
      throw new VolleyError("FILE_FAILED", `cannot write in ${to}: it is not a directory`);
    const directories = directoriesOf(members);
    return ({ name }) =>
      (context) =>
        getTree(context, { sources, follow }, isFlat ? root : join(root, directories.get(name)!));
  });
}

type HostWork = Parameters<typeof transferHost>[1]["work"];

function transfer(
  members: readonly Member[],
  core: Core,
  options: TransferOptions,
  plan: () => Promise<(member: Member) => HostWork>,
): Work<FilesResult> {
  const { preserve = false, checksum = false, check = false, onFile, onProgress } = options;
  const listener: TransferListener = {
    ...(onFile === undefined ? {} : { file: onFile }),
    ...(onProgress === undefined ? {} : { progress: onProgress }),
  };
  return startWork({
    hosts: members,
    limit: core.limit,
    signal: options.signal,
    empty: new Results<FilesResult>(),
    prepare: async () => ({
      workOf: await plan(),
      shared: shareTransfer({ preserve, checksum, check }, Math.min(core.forks, members.length)),
    }),
    perHost: async (member, { workOf, shared }, cancel): Promise<FilesResult> => {
      const signal = AbortSignal.any([cancel, core.closing]);
      const host = { ...member, become: becomeOn(member, options.become, core.become) };
      const {
        error,
        noHashes: _noHashes,
        ...result
      } = await transferHost(host, {
        ...shared,
        listener,
        signal,
        work: workOf(member),
      });
      return {
        ...result,
        ok: result.outcome === "ok",
        ...(error === undefined ? {} : { error: core.masking.error(error) }),
      };
    },
  });
}

function pathsOf(from: string | readonly string[]): readonly string[] {
  const paths = typeof from === "string" ? [from] : from;
  if (paths.length === 0) throw new VolleyError("USAGE", "no path was named");
  return paths.map(checkPath);
}

function checkPath(path: string): string {
  if (path === "" || path.includes("\0")) throw new VolleyError("USAGE", "a path is empty, or holds a NUL");
  return path;
}

/** A slash at the end means the contents of a directory. */
function localPath({ cwd }: Core, path: string): string {
  return resolve(cwd, path) + (path.endsWith("/") ? "/" : "");
}
