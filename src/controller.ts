/** The interface for programs: `run()` carries playbooks out, `connect()` gives a fleet to work with. */

export type { ApplyOptions, ApplyResult, FactsOptions, FactsResult } from "./connect/apply.ts";
export { type ConnectOptions, connect, type Fleet } from "./connect/connect.ts";
export type { Command, ExecOptions, ExecResult, ExecResults } from "./connect/exec.ts";
export type { FilesResult, TransferOptions } from "./connect/files.ts";
export type { FleetHost, HostSet, ShellWord } from "./connect/fleet.ts";
export type { Forwarding, ForwardOptions } from "./connect/forward.ts";
export { type Folded, type HostEnd, HostsFailed, type Results } from "./connect/results.ts";
export type { HostExit, HostProcess, HostShell, ShellOptions, StartOptions } from "./connect/streams.ts";
export type { Work } from "./connect/work.ts";
export type { ConnectedHosts, RunOptions } from "./controller/prepare/options.ts";
export { readInventory } from "./controller/prepare/read.ts";
export type { Run } from "./controller/run.ts";
export { run } from "./controller/run.ts";
export { type ErrorCode, isVolleyError, type SerializedError, VolleyError } from "./core/errors.ts";
export type { Event, Summary } from "./core/events.ts";
export type { SecretOptions } from "./vars/secrets/sources.ts";
