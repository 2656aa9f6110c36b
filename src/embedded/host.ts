import { generateKeyPairSync, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import ssh2, { type ParsedKey } from "ssh2";
import { makeDirectories } from "../system/directories.ts";
import { stringField } from "../transport/sftp/codec.ts";
import { fingerprintOf, hashName, hostName } from "../transport/ssh/known-hosts.ts";
import { FLEET_VARIABLE, type ProcessRegistry } from "./commands.ts";
import { type HostServer, startHostServer } from "./host-server.ts";
import { type EmbeddedFleetOptions, type EmbeddedHost, findFault, type HostFault } from "./options.ts";
import { createSftpFaults } from "./sftp-session.ts";

// A host of the fleet: its home and its faults, its PATH, and its key.

/** The context that the hosts of a fleet share. */
export interface FleetContext {
  readonly options: EmbeddedFleetOptions;
  readonly id: string;
  readonly root: string;
  readonly user: string;
  readonly clientKeys: readonly string[];
  readonly processes: ProcessRegistry;
}

/** A host and its server. */
export interface StartedHost {
  readonly host: EmbeddedHost;
  readonly server: HostServer;
  readonly hostKey: KeyPair;
}

const DEFAULT_NOISE = {
  banner: "Authorized use only.\n",
  stdout: "Welcome to this host!\nLast login: Thu Jan  1 00:00:00 1970\n",
};

/** Make a host's home and start its server; `hostKey` is the key for known_hosts. */
export async function startHost(
  context: FleetContext,
  name: string,
  hostKey: KeyPair,
  listed: readonly HostFault[],
): Promise<StartedHost> {
  const faults = listed.map((fault) =>
    fault.kind === "noisyBanner" ? { ...DEFAULT_NOISE, ...fault } : fault,
  );
  const { options, root, user, processes } = context;
  const home = join(root, "homes", name);
  makeDirectories(home, 0o700);
  const sessionHome = findFault(faults, "readOnlyHome") === undefined ? home : makeReadOnly(home);
  const banner = findFault(faults, "noisyBanner");
  const counts = { execs: 0, sftpBytesIn: 0 };
  const server = await startHostServer({
    hostKey: (findFault(faults, "wrongHostKey") ? generateKey("another-host") : hostKey).privateKey,
    credentials: {
      user,
      keys: [...context.clientKeys, ...(options.authorizedKeys ?? [])].map(parsePublicKey),
      passwords: options.passwords ?? [],
      keyboardInteractive: options.keyboardInteractive ?? [],
      rejectAll: findFault(faults, "rejectAuth") !== undefined,
    },
    sessions: {
      exec: {
        cwd: sessionHome,
        env: sessionEnvironment(context, name, sessionHome, faults),
        shell: options.shell ?? "/bin/sh",
        profileOutput: banner?.stdout ?? "",
        processes,
      },
      sftp: findFault(faults, "noSftp")
        ? undefined
        : {
            home: sessionHome,
            profileOutput: banner?.inSftp === true ? (banner.stdout ?? "") : "",
            faults: createSftpFaults(faults, [home, sessionHome]),
            onBytesIn: (bytes) => {
              counts.sftpBytesIn += bytes;
            },
          },
      maxSessions: findFault(faults, "maxSessions")?.sessions ?? Number.POSITIVE_INFINITY,
      onExec: (command) => {
        counts.execs += 1;
        options.onExec?.({ host: name, command });
      },
    },
    faults,
  });
  const host: EmbeddedHost = {
    name,
    address: "127.0.0.1",
    port: server.port,
    home,
    hostKeyFingerprint: fingerprint(hostKey.publicKey),
    get stats() {
      return { ...server.traffic(), ...counts };
    },
    dropConnections: server.dropConnections,
  };
  return { host, server, hostKey };
}

function sessionEnvironment(
  { options, id, root, user }: FleetContext,
  name: string,
  home: string,
  faults: readonly HostFault[],
): Record<string, string> {
  return {
    HOME: home,
    PWD: home,
    USER: user,
    LOGNAME: user,
    SHELL: options.shell ?? "/bin/sh",
    PATH: searchPath(root, options.programs ?? join(root, "programs"), name, faults),
    ...options.env,
    VOLLEY_EMBEDDED_HOST: name,
    [FLEET_VARIABLE]: id,
  };
}

/** Return a home that no user can write to. Root ignores modes and gets a file system that takes no files. */
function makeReadOnly(home: string): string {
  chmodSync(home, 0o555);
  return process.getuid?.() === 0 && process.platform === "linux" ? "/sys" : home;
}

function parsePublicKey(text: string): ParsedKey {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw key;
  return key;
}

const NODE_NAMES = ["node", "nodejs"];

/** Return the PATH of a host's commands: that of this process, without its node where a fault removes it. */
function searchPath(root: string, programs: string, hostName: string, faults: readonly HostFault[]): string {
  const path = ownSearchPath();
  const old = findFault(faults, "oldNode");
  if (old === undefined && findFault(faults, "noNode") === undefined) return path;
  const without = withoutNode(programs, path);
  if (old === undefined) return without;
  const directory = join(root, `path-old-node-${hostName}`);
  makeDirectories(directory, 0o755);
  writeFileSync(join(directory, "node"), oldNodeScript(old.version ?? "v12.22.0"), { mode: 0o755 });
  return [directory, without].join(delimiter);
}

function ownSearchPath(): string {
  const directories = (process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin").split(delimiter).filter(Boolean);
  const hasNode = directories.some((directory) => existsSync(join(directory, "node")));
  return [...directories, ...(hasNode ? [] : [dirname(process.execPath)])].join(delimiter);
}

/** Replace each directory that holds a node by one with links to its other files, made below `programs`. */
function withoutNode(programs: string, path: string): string {
  const directories = path.split(delimiter).map((directory) => {
    if (!NODE_NAMES.some((name) => existsSync(join(directory, name)))) return directory;
    // Where /bin is /usr/bin, the links are made once: there may be thousands.
    const real = realpathSync(directory);
    const mirror = join(programs, `${real.replaceAll("/", "-")}-${Math.round(statSync(real).mtimeMs)}`);
    if (!existsSync(mirror)) linkAll(real, mirror);
    return mirror;
  });
  return [...new Set(directories)].join(delimiter);
}

/** Make a directory of links to all files but node. Processes that do so at a time leave one, which is whole. */
function linkAll(directory: string, mirror: string): void {
  const temporary = `${mirror}.${process.pid}`;
  makeDirectories(temporary, 0o755);
  for (const name of readdirSync(directory)) {
    if (!NODE_NAMES.includes(name)) symlinkSync(join(directory, name), join(temporary, name));
  }
  try {
    renameSync(temporary, mirror);
  } catch (thrown) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(mirror)) throw thrown;
  }
}

function oldNodeScript(version: string): string {
  const bare = version.replace(/^v/, "");
  return `#!/bin/sh
case "$1 $2" in
  "-v "* | "--version "*) echo "v${bare}" ;;
  "-p "*split* | "--print "*split*) echo "${bare.split(".")[0]}" ;;
  "-p "*versions.node* | "--print "*versions.node*) echo "${bare}" ;;
  "-p "*process.version* | "--print "*process.version*) echo "v${bare}" ;;
  "-e "*) code=$2; shift 2; exec "${process.execPath}" -e "${pretendToBe(bare)}$code" "$@" ;;
  *) echo "SyntaxError: this is Node v${bare}" >&2; exit 1 ;;
esac
`;
}

/** Return JavaScript that makes the code after it see another version; it holds no apostrophe and no quote. */
function pretendToBe(version: string): string {
  const define = (object: string, name: string, value: string): string =>
    `Object.defineProperty(${object}, \`${name}\`, { value: \`${value}\` });`.replaceAll("`", "\\`");
  return define("process.versions", "node", version) + define("process", "version", `v${version}`);
}

/** An ed25519 key pair in OpenSSH's formats. */
export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

const KEY_TYPE = "ssh-ed25519";

/**
 * Generate an ed25519 key pair, the private key in OpenSSH's format (its PROTOCOL.key document).
 *
 * ssh2 1.17 is no help: it breaks the one key in 256 whose public half begins with a zero. The keys are encoded as they
 * are generated: in Node 20, `export` of a new key can hang when a garbage collection falls into it.
 */
export function generateKey(comment: string): KeyPair {
  const pair = generateKeyPairSync("ed25519", {
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  // Both end with the bare key (RFC 8410).
  const [secret, point] = [pair.privateKey.subarray(-32), pair.publicKey.subarray(-32)];
  const publicBlob = Buffer.concat([stringField(KEY_TYPE), stringField(point)]);
  const check = randomBytes(4);
  const body = Buffer.concat([
    check,
    check,
    publicBlob,
    stringField(Buffer.concat([secret, point])),
    stringField(comment),
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - (body.length % 8)) % 8));
  const file = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    // The cipher, the key derivation and its options.
    ...["none", "none", ""].map((field) => stringField(field)),
    Buffer.from([0, 0, 0, 1]),
    stringField(publicBlob),
    stringField(Buffer.concat([body, padding])),
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  const [begin, end] = ["BEGIN", "END"].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`);
  return {
    privateKey: [begin, ...lines, end, ""].join("\n"),
    publicKey: `${KEY_TYPE} ${publicBlob.toString("base64")} ${comment}`,
  };
}

/** Return the fingerprint of a public key, as `ssh-keygen -l` prints it. */
export function fingerprint(publicKey: string): string {
  return fingerprintOf(Buffer.from(publicKey.split(" ")[1] ?? "", "base64"));
}

/** Return a host's line for known_hosts, plain or hashed (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). */
export function knownHostsLine(address: string, port: number, publicKey: string, hashed: boolean): string {
  const [type, blob] = publicKey.split(" ");
  const name = hostName(address, port);
  return `${hashed ? hashName(name) : name} ${type} ${blob}`;
}
