import { createHmac, randomBytes } from "node:crypto";
import * as v from "valibot";
import { type Applied, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { expandPath, followLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

/** The data of a known_hosts task. */
interface KnownHostsData extends Partial<Omit<FileDescription, "state">> {
  readonly name: string;
  readonly key: string | null;
  readonly path: string;
  readonly hash_host: boolean;
  readonly state: string;
  /** The file before and after, also of a task that changes nothing. */
  readonly diff: {
    readonly before: string;
    readonly after: string;
    readonly before_header: string;
    readonly after_header: string;
  };
}

interface KnownHostsChange extends FileChange {
  readonly data: KnownHostsData;
}

const params = v.pipe(
  v.strictObject({
    name: text(
      "The host, as `key` names it: `host.example.org`, an address, or `[host]:2222` for another port.",
    ),
    key: v.optional(
      v.pipe(
        v.string(),
        v.trim(),
        v.nonEmpty("must not be empty"),
        v.description(
          "The key as a line of known_hosts: the host, the type and the key. Several lines, as ssh-keyscan prints them, are several keys. Required unless `state` is `absent`; then only keys of its type are removed.",
        ),
      ),
    ),
    path: v.optional(text("The file to edit. Its directory must exist."), "~/.ssh/known_hosts"),
    hash_host: flag("Write a hash in the place of the host's name."),
    state: oneOf(["present", "absent"], "present", "Set or remove the key."),
  }),
  v.check(({ state, key }) => state === "absent" || key !== undefined, "No key specified when adding a host"),
);

type Params = v.InferOutput<typeof params>;

/** Set and remove host keys in known_hosts. */
export const known_hosts = defineAction<typeof params, KnownHostsChange, KnownHostsData>({
  name: "known_hosts",
  doc: `Set or remove keys of a host in a known_hosts file; see sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

A host has one key of a type: another key of the type, or the same under other names or unhashed, is replaced. As in
Ansible, the whole line goes then, with all names on it. Lines with patterns (\`*.example.org\`), \`@cert-authority\` and
\`@revoked\` are never removed. The action needs no ssh-keygen on the host.`,
  params,
  aliases: { host: "name" },
  examples: [
    {
      name: "git.example.org",
      key: "git.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEUHCaKHaq4Zr9ZYmm5D8TVol2Yl9eNi5LyiNV3eDaoi",
    },
    { name: "old.example.org", state: "absent", path: "/etc/ssh/ssh_known_hosts" },
  ],
  title: ({ name }) => name,

  async inspect(given, system, context) {
    const path = await followLinks(system, given.path);
    const current = await system.readIfExists(path);
    const before = bytesToText(current ?? new Uint8Array());
    const after = given.state === "present" ? putKeys(before, given) : removeKeys(before, given);
    const { name, key, hash_host, state } = given;
    const shown = await expandPath(system, given.path);
    const diff = {
      before,
      after,
      before_header: current === null ? "/dev/null" : shown,
      after_header: shown,
    };
    const data: KnownHostsData = { name, key: key ?? null, hash_host, path: shown, state, diff };
    const change =
      after === before ? null : await inspectFile({ system, context, path, current, content: after });
    if (change !== null) return { ...change, data };
    return unchanged<KnownHostsData>({ ...data, ...(await describeFile(system, path, context)) });
  },

  async apply(change, _given, system, context): Promise<Applied<KnownHostsData>> {
    const { message } = await applyFile(change, system);
    const data = { ...change.data, ...(await describeFile(system, change.path, context)) };
    return { data, ...(message === undefined ? {} : { message }) };
  },
});

/** A line of known_hosts. */
interface Line {
  readonly text: string;
  readonly marker: string;
  /** The names or the hash of them. */
  readonly hosts: string;
  readonly type: string;
  readonly key: string;
}

/** Parse a line; undefined for comments and other lines. */
function parse(line: string): Line | undefined {
  const match = /^\s*(?:(@\S+)\s+)?([^\s#@]\S*)\s+(\S+)\s+(\S+)/.exec(line);
  if (match === null) return undefined;
  const [, marker = "", hosts = "", type = "", key = ""] = match;
  return { text: line, marker, hosts, type, key };
}

/** Hash a name as OpenSSH does: `|1|SALT|HMAC-SHA1`. */
function hashed(name: string, salt: Buffer = randomBytes(20)): string {
  const hash = createHmac("sha1", salt).update(name.toLowerCase()).digest("base64");
  return `|1|${salt.toString("base64")}|${hash}`;
}

/** Tell whether a line's names have this one; patterns do not count. */
function isFor({ hosts }: Line, name: string): boolean {
  const salt = /^\|1\|([^|]+)\|/.exec(hosts)?.[1];
  if (salt !== undefined) return hashed(name, Buffer.from(salt, "base64")) === hosts;
  return hosts.toLowerCase().split(",").includes(name.toLowerCase());
}

function wantedLines({ name, key = "" }: Params): readonly Line[] {
  if (name.includes(","))
    throw new VolleyError(
      "ACTION_FAILED",
      "Comma separated list of names is not supported. Please pass a single name to lookup in the known_hosts file.",
    );
  const lines = key.split(/\r?\n/).flatMap((line) => parse(line.trim()) ?? []);
  const [first] = lines;
  if (first === undefined)
    throw new VolleyError(
      "ACTION_FAILED",
      'the key is no line of known_hosts; write the host before its type: "host ssh-ed25519 AAAA…"',
    );
  if (!isFor(first, name))
    throw new VolleyError(
      "ACTION_FAILED",
      // Playbooks compare these words, so they are all there is.
      "Host parameter does not match hashed host field in supplied key",
    );
  return lines;
}

/** Return the text with every wanted key; unchanged lines stay where they are, new ones are added at the end. */
function putKeys(text: string, given: Params): string {
  const { name, hash_host } = given;
  let lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const wanted of wantedLines(given)) {
    const own = isFor(wanted, name);
    const hides = hash_host && own;
    const isSame = (line: Line): boolean => {
      if (line.marker !== wanted.marker || line.type !== wanted.type || line.key !== wanted.key) return false;
      return hides ? line.hosts.startsWith("|1|") && isFor(line, name) : line.hosts === wanted.hosts;
    };
    let found = false;
    lines = lines.filter((each) => {
      const line = parse(each);
      if (line === undefined) return true;
      if (isSame(line)) {
        found = true;
        return true;
      }
      const isRival = own && wanted.marker === "" && line.marker === "" && line.type === wanted.type;
      return !(isRival && isFor(line, name));
    });
    if (!found) lines.push(hides ? wanted.text.replace(wanted.hosts, () => hashed(name)) : wanted.text);
  }
  return `${lines.join("\n")}\n`;
}

function removeKeys(text: string, given: Params): string {
  const types = given.key === undefined ? undefined : wantedLines(given).map(({ type }) => type);
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  return lines
    .filter((each) => {
      const line = parse(each);
      if (line === undefined || line.marker !== "" || !isFor(line, given.name)) return true;
      return types !== undefined && !types.includes(line.type);
    })
    .join("");
}
