import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { takeLock } from "../agent/lock.ts";
import { hostInBundle } from "../bundle/carried.ts";
import { readManifest } from "../bundle/manifest.ts";
import { verifyBundle } from "../bundle/signing/verify.ts";
import type { Manifest } from "../core/bundle.ts";
import { printable, VolleyError } from "../core/errors.ts";
import { formatTally } from "../core/result.ts";
import { machineId } from "../system/this-process.ts";
import { type CarriedEnd, followBundle } from "./carried.ts";
import { DOWNLOAD_LIMITS, type DownloadLimits, download } from "./download.ts";
import { gitFile } from "./git.ts";
import { openPlaces, type Places, type PullRecord, readBounded, refuseOthers } from "./places.ts";
import type { Source } from "./source.ts";

/** Options of {@link pull}. */
export interface PullOptions {
  /** The file of allowed signers, an absolute path. */
  readonly signers: string;
  /** The identity that must have signed. Default: any of the allowed signers. */
  readonly signer?: string | undefined;
  /** The host of the bundle that this machine is. Default: see {@link hostInBundle}. */
  readonly host?: string | undefined;
  readonly check: boolean;
  readonly diff: boolean;
  /** A file of vars, as a bundle's `--vars` takes it. */
  readonly vars?: string | undefined;
  /** Do nothing when the same bundle, for this host and with these vars, was carried out well before. */
  readonly onlyIfChanged: boolean;
  /** Take a bundle that was signed before the one carried out last. */
  readonly allowOlder: boolean;
  /** Show only the line that is returned. */
  readonly isQuiet: boolean;
  /** Time to wait for another pull of this account, in milliseconds. Default 10 s. */
  readonly lockWaitMs?: number;
  /** Default: {@link DOWNLOAD_LIMITS}. */
  readonly limits?: DownloadLimits;
}

/** The end of a pull. */
export interface PullEnd {
  /** 0: provisioned, or nothing to do; 2: something failed; else as a bundle ends. */
  readonly exitCode: number;
  /** The result as a line for people. */
  readonly line: string;
}

const LOCK_WAIT_MS = 10_000;
/** Exit codes of a bundle whose run began. */
const RUN_EXITS = new Set([0, 2, 70, 130]);

/**
 * Get the signed bundle of a source, verify it, and carry it out on this machine. Nothing of a bundle is run that no
 * allowed signer has signed; the bytes that were verified are the bytes that run. Fails with `SIGNATURE_REFUSED`,
 * `PULL_FAILED`, `PATTERN_UNKNOWN` or `LOCKED` before anything was run.
 */
export async function pull(source: Source, options: PullOptions): Promise<PullEnd> {
  const { signers, vars, lockWaitMs = LOCK_WAIT_MS } = options;
  // Vars decide what a playbook does, and no signature covers them.
  for (const file of vars === undefined ? [signers] : [signers, vars]) refuseOthers(resolve(file));
  const places = openPlaces(source.key);
  const lock = await takeLock({
    file: join(places.directory, "..", `lock-${machineId()}`),
    run: `pull-${process.pid}`,
    host: source.shown,
    controller: `volley pull ${source.shown}`,
    waitMs: lockWaitMs,
    isOver: () => false,
    onWait: (text) => void process.stderr.write(`volley: ${text}\n`),
  });
  try {
    places.clear();
    return await pullAlone(source, options, places);
  } finally {
    await lock?.release();
  }
}

async function pullAlone(source: Source, options: PullOptions, places: Places): Promise<PullEnd> {
  const { shown } = source;
  const { check, allowOlder, onlyIfChanged, isQuiet } = options;
  const before = places.readRecord() ?? { source: shown };
  const { bytes, kept, isNew } = await getBundle(source, options.limits ?? DOWNLOAD_LIMITS, places, before);
  const signer = await verifyBundle(bytes, {
    name: shown,
    allowedSigners: options.signers,
    ...(options.signer === undefined ? {} : { identity: options.signer }),
  });
  const manifest = readManifest(bytes, shown);
  if (!allowOlder) refuseOlder(manifest, before, shown);
  const host = hostInBundle(manifest, { bundle: shown, option: "--host", asked: options.host });
  const work = workOf(kept.bundle, host, options.vars);
  if (isNew) places.writeBundle(bytes);
  const of = `${printable(manifest.playbook, 100)} of ${manifest.signedAt ?? "an unknown time"}, signed by ${signer.identity}`;
  if (onlyIfChanged && !check && before.done?.work === work) {
    places.writeRecord({ ...before, kept });
    return { exitCode: 0, line: `${host}: unchanged since ${before.done.at}, nothing to do (${of})` };
  }
  const { done, ...rest } = before;
  const record: PullRecord = check
    ? { ...before, kept }
    : { ...rest, kept, ...(manifest.signedAt === undefined ? {} : { signedAt: manifest.signedAt }) };
  // Before the run: it may be cut short.
  places.writeRecord(record);
  const end = await followBundle(places.bundle, argumentsOf(host, options), { host, shows: !isQuiet });
  if (end.exitCode === 0 && !check)
    places.writeRecord({ ...record, done: { work, at: new Date().toISOString() } });
  const exitCode = RUN_EXITS.has(end.exitCode) ? end.exitCode : 1;
  return { exitCode, line: `${host}: ${check ? "check: " : ""}${textOf(end)} (${of})` };
}

/** A bundle, and the record of it. */
interface Got {
  readonly bytes: Buffer;
  readonly kept: NonNullable<PullRecord["kept"]>;
  /** False for the bundle that is kept already. */
  readonly isNew: boolean;
}

async function getBundle(
  source: Source,
  limits: DownloadLimits,
  places: Places,
  { kept: before }: PullRecord,
): Promise<Got> {
  const there = before === undefined ? undefined : places.readBundle();
  const known = there !== undefined && before?.bundle === sha256(there) ? before : undefined;
  const got = await getBytes(source, limits, places, known);
  if (got === undefined) return { bytes: there!, kept: known!, isNew: false };
  const { bytes, ...validators } = got;
  const bundle = sha256(bytes);
  return { bytes, kept: { bundle, ...validators }, isNew: bundle !== known?.bundle };
}

/** Get the bytes of a source; undefined when they are those that are known. */
async function getBytes(
  source: Source,
  limits: DownloadLimits,
  { directory }: Places,
  known: PullRecord["kept"],
): Promise<({ readonly bytes: Buffer } & Omit<NonNullable<PullRecord["kept"]>, "bundle">) | undefined> {
  switch (source.kind) {
    case "url":
      return await download(source.url, source.shown, { limits, ...(known === undefined ? {} : { known }) });
    case "git":
      return await gitFile(source, { parent: directory, known: known?.commit, limits });
    case "file":
      return { bytes: readBounded(source.path, limits.bytes) };
  }
}

/** A signature stays valid, so whoever can exchange the file could bring back an old one. */
function refuseOlder({ signedAt }: Manifest, { signedAt: last }: PullRecord, name: string): void {
  if (last === undefined || (signedAt !== undefined && signedAt >= last)) return;
  throw new VolleyError(
    "SIGNATURE_REFUSED",
    `${name} was signed ${signedAt === undefined ? "at an unknown time" : `at ${signedAt}`}, before the bundle that was carried out last, of ${last}`,
    { hint: "to go back to it, sign it anew, or give --allow-older" },
  );
}

function workOf(bundle: string, host: string, vars: string | undefined): string {
  const given = vars === undefined ? "" : sha256(readBounded(vars, DOWNLOAD_LIMITS.bytes));
  return sha256(JSON.stringify([bundle, host, given]));
}

function argumentsOf(host: string, { check, diff, vars }: PullOptions): readonly string[] {
  return [
    `--local=${host}`,
    ...(check ? ["--check"] : []),
    ...(diff ? ["--diff"] : []),
    ...(vars === undefined ? [] : [`--vars=${vars}`]),
  ];
}

function textOf({ exitCode, bye, failure }: CarriedEnd): string {
  if (bye === undefined) return `the bundle ended with code ${exitCode} before its run began`;
  const why = bye.error?.message ?? failure;
  const told = why === undefined || exitCode === 0 ? "" : ` ${printable(why, 500)}`;
  return `${formatTally(bye.tally, bye.elapsedMs)}${told}`;
}

function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
