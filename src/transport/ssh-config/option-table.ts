import * as read from "./values.ts";

/** The treatment of an option of ssh_config. */
export interface OptionRow {
  readonly read: read.Reader;
  /**
   * - `ssh2`: followed by both ways to reach the host.
   * - `nothing`: without effect on a run; `why` gives the reason.
   * - `openssh`: only OpenSSH's `ssh` can follow it, so the host is left to `ssh`.
   */
  readonly by: "ssh2" | "nothing" | "openssh";
  readonly why?: string;
  /** For `openssh`: the values that need `ssh`. Default: all. */
  readonly when?: (values: readonly string[]) => boolean;
  /** For `openssh`: `--transport ssh2` refuses the host, and does not ignore the option. */
  readonly must?: true;
}

const followed = (reader: read.Reader): OptionRow => ({ read: reader, by: "ssh2" });
const harmless = (reader: read.Reader, why: string): OptionRow => ({ read: reader, by: "nothing", why });
const needed = (reader: read.Reader, when?: OptionRow["when"]): OptionRow =>
  when === undefined ? { read: reader, by: "openssh" } : { read: reader, by: "openssh", when };
const vital = (reader: read.Reader, when?: OptionRow["when"]): OptionRow => ({
  ...needed(reader, when),
  must: true,
});

const isYes = ([value]: readonly string[]): boolean => value === "yes";
const isNotNo = ([value]: readonly string[]): boolean => value !== "no" && value !== "false";
const isSet = ([value]: readonly string[]): boolean => value?.toLowerCase() !== "none";

const word = read.one();
const names = read.list(/^none$/i);
const yesNoAsk = read.states(["true", "yes"], ["false", "no"], ["ask"]);
const anything: read.Reader = ({ words }) => ({ values: words, took: words.length });

const OWN_CONNECTIONS = "Volley keeps and shares connections of its own";
const PERSON = "it is for a person's session at a terminal";
const FORWARDING =
  "it is for programs of a person's session on this machine; many hosts at once would be in each other's way";
const LOGGING = "it says what ssh tells; Volley tells what matters by itself";
const CANONICAL = "CanonicalizeHostname decides";
const GSSAPI = "GSSAPIAuthentication decides";
const OLD = "OpenSSH passes it over, too";

/**
 * Every option of ssh_config(5) in OpenSSH 9.2, with those of Debian and of newer releases: its reader and its treatment.
 * Other options are refused, as by `ssh`, unless IgnoreUnknown names them.
 */
export const OPTIONS: Readonly<Record<string, OptionRow>> = {
  AddressFamily: followed(read.states(["any"], ["inet"], ["inet6"])),
  BatchMode: followed(read.flag),
  BindAddress: followed(word),
  CASignatureAlgorithms: harmless(
    read.algorithms("signatures"),
    "hosts that a certificate vouches for are left to ssh",
  ),
  Ciphers: followed(read.algorithms("ciphers")),
  ConnectionAttempts: followed(read.integer),
  ConnectTimeout: followed(read.time),
  ControlMaster: followed(read.states(["true", "yes"], ["false", "no"], ["auto"], ["ask"], ["autoask"])),
  ControlPersist: followed(
    read.one((text) => (/^(yes|true|no|false|(\d+[smhdw]?)+)$/i.test(text) ? text : undefined)),
  ),
  ForwardAgent: followed(read.forwardAgent),
  GlobalKnownHostsFile: followed(names),
  HashKnownHosts: followed(read.flag),
  HostKeyAlgorithms: followed(read.algorithms("keys")),
  HostKeyAlias: followed(word),
  Hostname: followed(word),
  IdentitiesOnly: followed(read.flag),
  IdentityAgent: followed(read.agent),
  IdentityFile: followed(word),
  IgnoreUnknown: followed(word),
  KbdInteractiveAuthentication: followed(read.flag),
  KexAlgorithms: followed(read.algorithms("kex")),
  MACs: followed(read.algorithms("macs")),
  PasswordAuthentication: followed(read.flag),
  Port: followed(read.port),
  PreferredAuthentications: followed(word),
  ProxyJump: followed(read.jump),
  PubkeyAcceptedAlgorithms: followed(read.algorithms("keys")),
  RequiredRSASize: followed(read.integer),
  SendEnv: followed(read.list(undefined, /^[^=]+$/)),
  ServerAliveCountMax: followed(read.integer),
  ServerAliveInterval: followed(read.time),
  SetEnv: followed(read.settings),
  StrictHostKeyChecking: followed(
    read.states(["true", "yes"], ["false", "no", "off"], ["ask"], ["accept-new"]),
  ),
  Tag: followed(word),
  User: followed(word),
  UserKnownHostsFile: followed(names),

  BindInterface: vital(word),
  CanonicalizeHostname: vital(read.states(["true", "yes"], ["false", "no"], ["always"]), isNotNo),
  CanonicalizePermittedCNAMEs: needed(names, isSet),
  CertificateFile: needed(word, isSet),
  CheckHostIP: vital(read.flag, isYes),
  GSSAPIAuthentication: needed(read.flag, isYes),
  GSSAPIKeyExchange: needed(read.flag, isYes),
  HostbasedAuthentication: needed(read.flag, isYes),
  KbdInteractiveDevices: needed(word),
  KnownHostsCommand: vital(read.line, isSet),
  NoHostAuthenticationForLocalhost: needed(read.flag, isYes),
  PKCS11Provider: needed(word, isSet),
  ProxyCommand: vital(read.line, isSet),
  PubkeyAuthentication: {
    ...needed(
      read.states(["true", "yes"], ["false", "no"], ["unbound"], ["host-bound"]),
      ([value]) => value === "host-bound",
    ),
    why: "yes, no and unbound are followed",
  },
  RefuseConnection: vital(read.line),
  RekeyLimit: needed(
    read.oneOrTwo(/^(default|\d+[kmg]?)$/i, /^(none|(\d+[smhdw]?)+)$/i),
    ([size, every]) => (size !== "default" && size !== "0") || (every !== undefined && every !== "none"),
  ),
  RemoteForward: needed(read.forward(false)),
  RevokedHostKeys: vital(word, isSet),
  Tunnel: needed(read.states(["ethernet"], ["point-to-point", "true", "yes"], ["false", "no"]), isNotNo),
  VerifyHostKeyDNS: needed(yesNoAsk, isNotNo),

  AddKeysToAgent: harmless(
    read.oneOrTwo(/^(yes|true|no|false|ask|confirm|(\d+[smhdw]?)+)$/i, /^(\d+[smhdw]?)+$/i),
    "a run leaves the agent as it is",
  ),
  CanonicalDomains: harmless(names, CANONICAL),
  CanonicalizeFallbackLocal: harmless(read.flag, CANONICAL),
  CanonicalizeMaxDots: harmless(read.integer, CANONICAL),
  ChannelTimeout: harmless(anything, "Volley's channels are never idle for long"),
  ClearAllForwardings: harmless(read.flag, FORWARDING),
  Compression: harmless(read.flag, "the bytes that arrive are the same; bundles are compressed already"),
  ControlPath: harmless(word, OWN_CONNECTIONS),
  DynamicForward: harmless(read.forward(false), FORWARDING),
  EnableEscapeCommandline: harmless(read.flag, PERSON),
  EnableSSHKeysign: harmless(read.flag, "HostbasedAuthentication decides"),
  EscapeChar: harmless(read.shaped(/^(none|.|\^[@-\x7f])$/), PERSON),
  ExitOnForwardFailure: harmless(read.flag, FORWARDING),
  FingerprintHash: harmless(
    read.states(["MD5"], ["SHA1"], ["SHA256"], ["SHA384"], ["SHA512"]),
    "fingerprints are shown as SHA256",
  ),
  ForkAfterAuthentication: harmless(read.flag, PERSON),
  ForwardX11: harmless(read.flag, PERSON),
  ForwardX11Timeout: harmless(read.time, PERSON),
  ForwardX11Trusted: harmless(read.flag, PERSON),
  GatewayPorts: harmless(read.flag, FORWARDING),
  GSSAPIClientIdentity: harmless(word, GSSAPI),
  GSSAPIDelegateCredentials: harmless(read.flag, GSSAPI),
  GSSAPIKexAlgorithms: harmless(word, "GSSAPIKeyExchange decides"),
  GSSAPIRenewalForcesRekey: harmless(read.flag, GSSAPI),
  GSSAPIServerIdentity: harmless(word, GSSAPI),
  GSSAPITrustDns: harmless(read.flag, GSSAPI),
  HostbasedAcceptedAlgorithms: harmless(read.algorithms("keys"), "HostbasedAuthentication decides"),
  IPQoS: harmless(read.oneOrTwo(/./, /./), "it marks packets; what they hold is the same"),
  LocalCommand: harmless(read.line, PERSON),
  LocalForward: harmless(read.forward(true), FORWARDING),
  LogLevel: harmless(
    read.states(
      ["SILENT", "QUIET"],
      ["FATAL"],
      ["ERROR"],
      ["INFO"],
      ["VERBOSE"],
      ["DEBUG", "DEBUG1"],
      ["DEBUG2"],
      ["DEBUG3"],
    ),
    LOGGING,
  ),
  LogVerbose: harmless(names, LOGGING),
  NumberOfPasswordPrompts: harmless(read.integer, "a password is given once, and tried once"),
  ObscureKeystrokeTiming: harmless(anything, PERSON),
  PermitLocalCommand: harmless(read.flag, PERSON),
  PermitRemoteOpen: harmless(
    read.list(/^(any|none)$/i),
    "no RemoteForward without a target is of use to a run",
  ),
  ProxyUseFdpass: harmless(read.flag, "ProxyCommand decides"),
  RemoteCommand: harmless(read.line, "a run says what is to be done on the host"),
  RequestTTY: harmless(
    read.states(["true", "yes"], ["false", "no"], ["force"], ["auto"]),
    "Volley asks for a terminal where it needs one",
  ),
  SecurityKeyProvider: harmless(word, "hosts whose key is one of a security device are left to ssh"),
  SessionType: harmless(
    read.states(["none"], ["subsystem"], ["default"]),
    "a run says what is to be done on the host",
  ),
  StdinNull: harmless(read.flag, PERSON),
  StreamLocalBindMask: harmless(read.shaped(/^[0-7]{1,4}$/), FORWARDING),
  StreamLocalBindUnlink: harmless(read.flag, FORWARDING),
  SyslogFacility: harmless(
    read.states(
      ...["DAEMON", "USER", "AUTH", "AUTHPRIV"].map((name) => [name]),
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((number) => [`LOCAL${number}`]),
    ),
    LOGGING,
  ),
  TCPKeepAlive: harmless(read.flag, "sockets are kept alive in any case"),
  TunnelDevice: harmless(read.shaped(/^(any|\d+)(:(any|\d+))?$/), "Tunnel decides"),
  UpdateHostKeys: harmless(yesNoAsk, "it learns more keys of hosts that are trusted already"),
  VisualHostKey: harmless(read.flag, PERSON),
  VersionAddendum: harmless(read.line, "it is a remark for the host's log"),
  WarnWeakCrypto: harmless(anything, LOGGING),
  XAuthLocation: harmless(word, PERSON),

  ...Object.fromEntries(
    `protocol cipher fallbacktorsh globalknownhostsfile2 rhostsauthentication userknownhostsfile2 useroaming usersh
    useprivilegedport afstokenpassing kerberosauthentication kerberostgtpassing rsaauthentication
    rhostsrsaauthentication compressionlevel`
      .split(/\s+/)
      .map((name) => [name, harmless(anything, OLD)]),
  ),
  // Apple's ssh keeps passphrases in the keychain.
  ...(process.platform === "darwin" ? { usekeychain: harmless(read.flag, "passphrases are asked for") } : {}),
};

/** Other names of options. */
const ALIASES: Readonly<Record<string, string>> = {
  challengeresponseauthentication: "kbdinteractiveauthentication",
  skeyauthentication: "kbdinteractiveauthentication",
  tisauthentication: "kbdinteractiveauthentication",
  dsaauthentication: "pubkeyauthentication",
  hostbasedkeytypes: "hostbasedacceptedalgorithms",
  identityfile2: "identityfile",
  keepalive: "tcpkeepalive",
  pubkeyacceptedkeytypes: "pubkeyacceptedalgorithms",
  smartcarddevice: "pkcs11provider",
};

const BY_NAME: ReadonlyMap<string, string> = new Map(
  Object.keys(OPTIONS).map((name) => [name.toLowerCase(), name]),
);

/** Return an option's main name, in lower case; undefined for an unknown option. */
export function optionName(keyword: string): string | undefined {
  const name = ALIASES[keyword] ?? keyword;
  return BY_NAME.has(name) ? name : undefined;
}

/** Return an option's row by its name in lower case; undefined for an unknown option. */
export function rowOf(name: string): OptionRow | undefined {
  const key = BY_NAME.get(name);
  return key === undefined ? undefined : OPTIONS[key];
}

/** Return an option's name as the manual spells it. */
export function spelled(name: string): string {
  return BY_NAME.get(name) ?? name;
}
