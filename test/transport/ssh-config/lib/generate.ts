import type { Draw } from "../../../fuzz/lib/random.ts";

/** Files of ssh_config by their names, the first of them the one to begin with. */
export type GeneratedFiles = ReadonlyMap<string, string>;

/** The place of generated files, and the files that they may include. */
export interface Ground {
  /** Absolute; holds the generated files. */
  readonly directory: string;
  /** The path from `~/.ssh` to the directory; undefined without a directory. */
  readonly relative: string | undefined;
}

/** Names of hosts to evaluate. */
export const NAMES = [
  "web1",
  "web2",
  "WEB1",
  "db.example.org",
  "10.0.0.5",
  "::1",
  "127.1",
  "gate",
  "FE80::A",
];

/** As ssh_config writes a variable of the environment. */
const VARIABLE = ["$", "{VOLLEY_TEST}"].join("");
const USERS = ["deploy", "root", "ann@corp", "two words", "a\\b"];
const HOST_PATTERNS = [
  "web*",
  "w?b1",
  "*.example.org",
  "!web2",
  "*",
  "10.0.*",
  "::*",
  "WEB*",
  "web1",
  "127.*",
  "!*1",
];
const PATHS = [
  "/k/id one",
  "~/.ssh/id_x",
  "/k/'q'",
  "%d/.ssh/id_%n_%r",
  "/k/%h-%p-%i",
  "/k/#1",
  "none",
  `${VARIABLE}/k`,
];
const TOKENS = ["%%", "%h", "%n", "%p", "%r", "%u", "%d", "%i", "%k", "%L", "%l", "%C", "%j"];

type Make = (draw: Draw) => readonly string[];

const flag: Make = (draw) => [draw.pick(["yes", "no", "true", "false", "YES", "No"])];
const from =
  (...words: readonly string[]): Make =>
  (draw) => [draw.pick(words)];
const number: Make = (draw) => [String(draw.below(70))];
const time: Make = (draw) => [draw.pick(["7", "90s", "1m30s", "2H", "0", "1d", "none"])];
const path: Make = (draw) => [draw.pick(PATHS)];
const tokens: Make = (draw) => [`/t/${draw.pick(TOKENS)}.${draw.pick(TOKENS)}/x`];
const algorithms =
  (...names: readonly string[]): Make =>
  (draw) => {
    const some = Array.from({ length: 1 + draw.below(3) }, () => draw.pick(names)).join(",");
    return [`${draw.pick(["", "+", "-", "^"])}${some}`];
  };
const CIPHERS = algorithms("aes128-ctr", "aes256-gcm@openssh.com", "aes128-cbc", "3des-cbc");
const MACS = algorithms("hmac-sha1", "hmac-sha2-256", "umac-64@openssh.com", "hmac-md5");
const KEX = algorithms("curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group1-sha1");
const KEYS = algorithms("ssh-ed25519", "rsa-sha2-512", "ecdsa-*", "ssh-rsa", "*cert*");

/** Options with a value as words, which may be quoted. */
const OPTIONS: readonly (readonly [string, Make])[] = [
  ["User", from(...USERS)],
  ["User", from(...USERS)],
  ["Port", (draw) => [draw.pick(["22", "2201", "65535", "443"])]],
  ["HostName", from("10.0.0.5", "%h.example.org", "real-%h", "WEB2", "127.1", "::1", "a%%b", "x")],
  ["HostName", from("10.0.0.5", "%h.example.org", "real-%h", "WEB2", "127.1", "::1", "a%%b", "x")],
  ["IdentityFile", path],
  ["IdentityFile", path],
  ["IdentityFile", tokens],
  ["CertificateFile", path],
  [
    "IdentityAgent",
    from("none", "SSH_AUTH_SOCK", "$SSH_AUTH_SOCK", "~/agent %r.sock", "/a/%C", `${VARIABLE}/s`),
  ],
  ["IdentitiesOnly", flag],
  [
    "UserKnownHostsFile",
    (draw) => draw.pick([["none"], ["~/k1", "/k two"], ["/k/%k-%n"], [`${VARIABLE}/kh`]]),
  ],
  ["GlobalKnownHostsFile", (draw) => draw.pick([["none"], ["/g1", "/g 2"]])],
  ["StrictHostKeyChecking", from("yes", "no", "ask", "accept-new", "off", "ACCEPT-NEW")],
  ["HostKeyAlias", from("alias", "Alias Two")],
  ["HashKnownHosts", flag],
  ["RevokedHostKeys", from("/etc/revoked", "none", "/a b")],
  ["Ciphers", CIPHERS],
  ["MACs", MACS],
  ["KexAlgorithms", KEX],
  ["HostKeyAlgorithms", KEYS],
  ["PubkeyAcceptedAlgorithms", KEYS],
  ["CASignatureAlgorithms", KEYS],
  ["HostbasedAcceptedAlgorithms", KEYS],
  ["BindAddress", from("127.0.0.1", "::1")],
  ["AddressFamily", from("inet", "inet6", "any")],
  ["ConnectTimeout", time],
  ["ConnectionAttempts", from("1", "3")],
  ["ServerAliveInterval", time],
  ["ServerAliveCountMax", number],
  ["Compression", from("yes", "no")],
  ["PreferredAuthentications", from("publickey,password", "publickey")],
  ["PubkeyAuthentication", from("yes", "no", "unbound", "host-bound")],
  ["PasswordAuthentication", flag],
  ["KbdInteractiveAuthentication", flag],
  ["ChallengeResponseAuthentication", flag],
  ["BatchMode", flag],
  ["RequiredRSASize", from("1024", "3072")],
  ["ForwardAgent", from("yes", "no", "/a/%n.sock", "$SSH_AUTH_SOCK")],
  ["SendEnv", (draw) => draw.pick([["LANG", "LC_*"], ["FOO"], ["-LC_*"], ["-F*", "BAR"]])],
  ["SetEnv", (draw) => draw.pick([["A=1", "B=two words"], ["A=x", "A=y"], ["C="]])],
  ["ControlMaster", from("auto", "no", "yes", "autoask")],
  ["ControlPath", from("~/cm-%C", "none", "/c/%r@%h:%p")],
  ["CheckHostIP", flag],
  ["VerifyHostKeyDNS", from("yes", "ask", "no")],
  ["UpdateHostKeys", from("yes", "no", "ask")],
  ["RequestTTY", from("auto", "no", "force")],
  ["LogLevel", from("QUIET", "ERROR", "verbose", "DEBUG")],
  ["GSSAPIAuthentication", flag],
  ["TCPKeepAlive", flag],
  ["KeepAlive", flag],
  ["Tunnel", from("no", "yes", "ethernet")],
  ["PKCS11Provider", from("none", "/usr/lib/p11.so")],
  ["EscapeChar", from("none", "~", "x")],
  ["FingerprintHash", from("md5", "sha256")],
  ["VisualHostKey", flag],
  ["Protocol", from("2")],
  ["UseRoaming", from("no")],
];

/** Options that take the rest of their line as it is. */
const LINES: readonly (readonly [string, readonly string[]])[] = [
  ["ProxyCommand", ["none", "nc %h %p", "ssh -W '[%h]:%p' 'a b' # no comment", 'sh -c "nc %h %p"']],
  ["KnownHostsCommand", ["none", "/bin/keys %H"]],
  ["RemoteCommand", ["none", "tmux attach -t %n"]],
  ["LocalCommand", ["none", "echo %h"]],
  [
    "ProxyJump",
    ["none", "gate", "%r@bast-%n:2201", "a,b@c:23", "ssh://me@gate:2200", "[::1]:24", "gate # by it"],
  ],
];

const BROKEN = [
  "Port",
  "Port 0",
  "Port many",
  "NoSuchOption yes",
  'User "open',
  "User 'open",
  "User a b",
  'Host a "" b',
  "Match",
  "Match host",
  "Match all host x",
  "Match nosuch x",
  "IdentitiesOnly maybe",
  "StrictHostKeyChecking sometimes",
  "ConnectTimeout soon",
  "Ciphers nosuch",
  "SetEnv A",
  "UserKnownHostsFile none /x",
  "ServerAliveCountMax -1",
  "ProxyJump a:b",
  "ForwardAgent $a-b",
  "Compression sometimes",
  "Match user x exec",
];

/** Files of a seed: sections, quotes, includes and comments in all their forms, and now and then a line that is wrong. */
export function generateFiles(draw: Draw, ground: Ground): GeneratedFiles {
  const files = new Map<string, string>([["config", ""]]);
  // The deepest first, so that each Include names an existing file.
  const included = Array.from({ length: draw.below(4) }, (_none, index) => `inc-${index}.conf`);
  const write = (name: string, may: readonly string[], most: number): void => {
    const ending = draw.chance(0.1) ? "\r\n" : "\n";
    const lines = Array.from({ length: 1 + draw.below(most) }, () => line(draw, ground, may));
    files.set(name, lines.join(ending) + (draw.chance(0.9) ? ending : ""));
  };
  for (const [index, name] of included.entries()) write(name, included.slice(0, index), 6);
  write("config", included, 14);
  return files;
}

function line(draw: Draw, ground: Ground, files: readonly string[]): string {
  const kind = draw.below(100);
  const [before, after] = [
    draw.pick(["", "", "  ", "\t", " \t "]),
    draw.pick(["", "", " ", "\t", " # comment", "\t#x"]),
  ];
  if (kind < 3) return draw.pick(["", "   ", "# only a comment", "\t#", "\f"]);
  if (kind < 4) return `${before}${draw.pick(BROKEN)}`;
  if (kind < 20) {
    const patterns = Array.from({ length: 1 + draw.below(3) }, () => quoted(draw, draw.pick(HOST_PATTERNS)));
    return `${before}${keyword(draw, "Host")}${patterns.join(draw.pick([" ", "\t", "  "]))}${after}`;
  }
  if (kind < 36) return `${before}${keyword(draw, "Match")}${criteria(draw)}${after}`;
  if (kind < 44 && files.length > 0) {
    const paths = Array.from({ length: 1 + draw.below(2) }, () =>
      quoted(draw, includePath(draw, ground, files)),
    );
    return `${before}${keyword(draw, "Include")}${paths.join(" ")}${after}`;
  }
  if (kind < 53) {
    const [name, values] = draw.pick(LINES);
    return `${before}${keyword(draw, name)}${draw.pick(values)}${after.includes("#") ? "" : after}`;
  }
  const [name, make] = draw.pick(OPTIONS);
  const words = make(draw).map((word) => quoted(draw, word));
  return `${before}${keyword(draw, name)}${words.join(draw.pick([" ", "  ", "\t"]))}${after}`;
}

function includePath(draw: Draw, { directory, relative }: Ground, files: readonly string[]): string {
  const name = draw.pick([...files, "inc-*.conf", "inc-[0-2].conf", "inc-?.c*", "no-such-*"]);
  // A glob would find the including file as well, without end.
  const safe = /[*?[]/.test(name) && files.length < 2 ? files[0]! : name;
  const some = /[*?[]/.test(safe) ? files[0]! : safe;
  const glob = some.replace(/^inc-(\d)/, (whole, digit: string) =>
    draw.pick([whole, `inc-[${digit}]`, `in?-${digit}`]),
  );
  return `${relative !== undefined && draw.chance(0.4) ? relative : directory}/${glob}`;
}

function keyword(draw: Draw, name: string): string {
  const spelled = draw.pick([name, name, name.toLowerCase(), name.toUpperCase()]);
  if (draw.chance(0.05)) return `"${spelled}" `;
  return spelled + draw.pick([" ", " ", " ", "=", " = ", "\t", "  ", " =", "= "]);
}

/** A word in one of the ways to write it. */
function quoted(draw: Draw, word: string): string {
  const escaped = word.replace(/["'\\]/g, "\\$&");
  const backslashed = escaped.replaceAll(" ", "\\ ");
  const isPlain = /^[^\s"'\\#]+$/.test(word);
  switch (draw.below(6)) {
    case 0:
      return `"${escaped}"`;
    case 1:
      return `'${escaped}'`;
    case 2:
      // A # within a word is no comment.
      return word.startsWith("#") ? `"${escaped}"` : backslashed;
    case 3: {
      const middle = Math.floor(word.length / 2);
      const [left, right] = [word.slice(0, middle), word.slice(middle)].map((part) =>
        part.replace(/["'\\]/g, "\\$&"),
      );
      return `"${left}"'${right}'`;
    }
    default:
      return isPlain ? word : `"${escaped}"`;
  }
}

const COMMANDS = [
  "true",
  "false",
  "test %n = web1",
  "test %p -eq 2201",
  "test '%r' = deploy",
  "test %h = 10.0.0.5 -o %h = real-web1",
  "test -n '%u%d%i%L%l%k%C'",
];

function criteria(draw: Draw): string {
  if (draw.chance(0.12)) return draw.pick(["all", "!all", "final all", "host web* all", "ALL"]);
  const some = Array.from({ length: 1 + draw.below(3) }, () => criterion(draw));
  return some.join(draw.pick([" ", "  ", "\t"]));
}

function criterion(draw: Draw): string {
  const not = draw.chance(0.25) ? "!" : "";
  const list = (items: readonly string[]): string =>
    Array.from({ length: 1 + draw.below(3) }, () => draw.pick(items)).join(",");
  const name = draw.pick(["host", "originalhost", "user", "localuser", "exec", "canonical", "final"]);
  if (name === "canonical" || name === "final") return not + name;
  const value = {
    host: () => list([...HOST_PATTERNS, "real-*", "WEB2", "web2"]),
    originalhost: () => list(HOST_PATTERNS),
    user: () => list(["deploy", "root", "d*", "!root", "Deploy"]),
    localuser: () => list(["root", "*", "!nobody", "n*"]),
    exec: () => `${draw.pick(COMMANDS)}`,
  }[name as "host" | "originalhost" | "user" | "localuser" | "exec"]();
  const needsQuotes = / /.test(value);
  return `${not}${draw.pick([name, name, name.toUpperCase()])}${draw.pick([" ", " ", "=", "\t"])}${needsQuotes || draw.chance(0.3) ? `"${value}"` : value}`;
}
