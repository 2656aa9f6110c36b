import { readBool } from "../../actions/coerce.ts";
import { expandPath } from "../../actions/shared/paths.ts";
import { commandWords } from "../../actions/shared/run-tool.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessResult, System } from "../../core/system.ts";
import { commandLine, quote } from "../../core/unix/shell.ts";
import { whenAnswered } from "../../engine/render.ts";
import { candidates } from "../files.ts";
import { settled } from "../frame.ts";
import { CONTROLLER } from "../keywords.ts";
import { boolOf, textOr } from "../templar.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";
import { becomeOf } from "./delegation.ts";

// `synchronize`: rsync between the controller, or the machine that the task is delegated to, and the host.

/** The beginning of the lines that tell of a change; the others are rsync's own. */
const MARK = "<<CHANGED>>";
const MAX_OUTPUT = 64 * 1024 * 1024;

/** The two ends of a transfer, as rsync's last words. */
interface Ends {
  readonly src: string;
  readonly dest: string;
  /** The words in the place of `ssh`; none: both ends are on one machine. */
  readonly shell?: readonly string[];
  readonly rsyncPath?: string | undefined;
}

type Arguments = Readonly<Record<string, unknown>>;

/** Bring files from the controller to the host with rsync, or with `mode: pull` from the host to the controller. */
export async function synchronize(call: RenderedCall): Promise<ModuleEnd> {
  const { args, interpreter, frame, templar, system } = call;
  for (const name of ["src", "dest"])
    if (typeof args[name] !== "string" || args[name] === "")
      throw new VolleyError("PARAMS_INVALID", `missing required arguments: ${name}`);
  const { mode = "push" } = args;
  if (mode !== "push" && mode !== "pull")
    throw new VolleyError("PARAMS_INVALID", `value of mode must be one of: pull, push, got: ${String(mode)}`);
  const { host, inventory } = interpreter;
  const other = await whenAnswered(() => textOr(settled(frame, "delegate_to", templar.value)));
  const isOnHost =
    host.job.isLocal === true ? other === "" || CONTROLLER.has(other) : other === host.job.host;
  if (isOnHost) {
    const ends = await localEnds(call, host.job.isLocal === true);
    return run(call, system, ends);
  }
  const { world } = host;
  if (world === undefined)
    throw new VolleyError("DELEGATE_REFUSED", "synchronize needs a controller to copy from and to");
  const isHere = other === "" || CONTROLLER.has(other);
  // Another user works on the host alone, not where rsync is started.
  const near = isHere
    ? (await world.machine("localhost", {})).systemOf(undefined)
    : (await world.machine(other, inventory.varsOf(other))).systemOf(undefined);
  const ends = await endsOf(call, isHere ? near : undefined);
  if (isDaemon(ends.src) || isDaemon(ends.dest)) return run(call, near, ends);
  if (!isHere || args.dest_port !== undefined || args.private_key !== undefined)
    return run(call, near, overSsh(call, ends));
  const { rsync_path: rsyncPath } = args;
  const become = becomeOf(call, templar.vars);
  const login = host.systemOf(false);
  // A command of one's own in the place of rsync says by itself whose rights it needs.
  const far = rsyncPath === undefined ? host.systemOf(become) : login;
  const shell = await world.remoteShell((line, stream) =>
    far.pipe!(["sh", "-c", line], stream, { signal: call.signal }),
  );
  try {
    const home = await login.workingDirectory();
    return await run(call, near, {
      ...remoteEnd(ends, mode, host.job.host.replace(/[^\w.-]/g, "_"), (path) =>
        path.startsWith("/") ? path : `${home.replace(/\/$/, "")}/${path.replace(/^~\/?/, "")}`,
      ),
      shell: shell.argv,
      rsyncPath: rsyncPath === undefined ? undefined : String(rsyncPath),
    });
  } finally {
    await shell.close();
  }
}

/** True for a place that an rsync daemon serves. */
function isDaemon(path: string): boolean {
  return /^rsync:\/\/|^[^/]*::/.test(path);
}

/** Put the host before the path at its end. */
function remoteEnd(
  { src, dest }: Ends,
  mode: "push" | "pull",
  host: string,
  place: (path: string) => string = (path) => path,
): Ends {
  const name = (path: string): string => `${host}:${place(path)}`;
  return mode === "push" ? { src, dest: name(dest) } : { src: name(src), dest };
}

/** The ends of a transfer within the host. */
async function localEnds(call: RenderedCall, isController: boolean): Promise<Ends> {
  if (isController) return endsOf(call, call.system, true);
  const [src = "", dest = ""] = await Promise.all(
    [call.args.src, call.args.dest].map((path) => expandPath(call.system, String(path))),
  );
  return { src, dest };
}

/** The ends as the machine where rsync is started has them; without one they stay as they are written. */
async function endsOf(call: RenderedCall, near: System | undefined, both = false): Promise<Ends> {
  const { interpreter, frame, args } = call;
  const { files } = interpreter;
  const place = async (path: string, isSource: boolean): Promise<string> => {
    if (near === undefined || isDaemon(path)) return path;
    const whole = await expandPath(near, path);
    if (whole.startsWith("/")) return whole;
    const found = isSource ? candidates(files, whole, "files", interpreter.rootsOf(frame)) : [];
    for (const each of found)
      if ((await near.lstat(files.fullPath(each).replace(/\/$/, ""))) !== null) return withSlash(each, whole);
    return withSlash(`${interpreter.directory}/${whole}`, whole);
  };
  const withSlash = (path: string, written: string): string => {
    const full = files.fullPath(path).replace(/\/$/, "");
    return written.endsWith("/") ? `${full}/` : full;
  };
  const { src, dest, mode = "push" } = args;
  return {
    src: both || mode === "push" ? await place(String(src), true) : String(src),
    dest: both || mode === "pull" ? await place(String(dest), false) : String(dest),
  };
}

/** Reach the host with the program `ssh` of the machine where rsync is started. */
function overSsh(call: RenderedCall, ends: Ends): Ends {
  const { args, interpreter, templar } = call;
  const { vars } = templar;
  const { job } = interpreter.host;
  const given = (...names: readonly string[]): string | undefined => {
    const found = names.map((name) => vars[name]).find((value) => value !== undefined && value !== null);
    return found === undefined ? undefined : textOr(found);
  };
  const is = (name: string): boolean => readBool(args[name]) === true;
  const port = args.dest_port ?? given("ansible_ssh_port", "ansible_port");
  const key = args.private_key ?? given("ansible_ssh_private_key_file", "ansible_private_key_file");
  const address = given("ansible_ssh_host", "ansible_host") ?? job.host;
  const user = given("ansible_ssh_user", "ansible_user") ?? job.become?.login;
  const more = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];
  const become = becomeOf(call, vars);
  const { rsync_path: rsyncPath, mode } = args;
  const bracketed = address.includes(":") ? `[${address}]` : address;
  return {
    ...remoteEnd(
      ends,
      mode === "pull" ? "pull" : "push",
      user === undefined || readBool(args.set_remote_user) === false ? bracketed : `${user}@${bracketed}`,
    ),
    shell: [
      "ssh",
      ...(is("ssh_connection_multiplexing") ? [] : ["-S", "none"]),
      ...(key === undefined || key === null ? [] : ["-i", String(key)]),
      ...(port === undefined || port === null ? [] : ["-o", `Port=${Number(port)}`]),
      // Nobody is there to answer a question.
      ...["-o", "BatchMode=yes"],
      ...(is("verify_host") ? [] : ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]),
      ...(is("use_ssh_args") ? more.flatMap((name) => commandWords(given(name) ?? "")) : []),
    ],
    rsyncPath:
      rsyncPath !== undefined
        ? String(rsyncPath)
        : become === undefined || become === false
          ? undefined
          : `sudo -n -u ${become === true ? "root" : quote(become)} rsync`,
  };
}

/** Parameters that stand for options of rsync, and those of them that `archive` has on by itself. */
const PARTS = ["recursive", "links", "perms", "times", "owner", "group"] as const;

/** Return rsync's options, without those of its ends. */
function optionsOf(args: Arguments, check: boolean): readonly string[] {
  const is = (name: string, initial = false): boolean => readBool(args[name] ?? initial) === true;
  const isArchive = is("archive", true);
  const timeout = Number(args.rsync_timeout ?? 0);
  return [
    ...(is("delay_updates", true) ? ["--delay-updates", "-F"] : []),
    ...(is("compress", true) ? ["--compress"] : []),
    ...(timeout > 0 ? [`--timeout=${timeout}`] : []),
    ...(check ? ["--dry-run"] : []),
    ...(is("delete") ? ["--delete-after"] : []),
    ...(is("existing_only") ? ["--existing"] : []),
    ...(is("checksum") ? ["--checksum"] : []),
    ...(is("copy_links") ? ["--copy-links"] : []),
    ...(isArchive ? ["--archive"] : []),
    ...PARTS.flatMap((name) => {
      const wanted = args[name] === undefined || args[name] === null ? isArchive : is(name);
      return wanted === isArchive ? [] : [wanted ? `--${name}` : `--no-${name}`];
    }),
    ...(is("dirs") ? ["--dirs"] : []),
  ];
}

/** Return a list as tasks write it: a text is one with commas. */
function listOf(value: unknown): readonly string[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value.map(String) : String(value).split(",");
}

async function run(call: RenderedCall, near: System, ends: Ends): Promise<ModuleEnd> {
  const { args, check, signal, turn, templar, noLog, interpreter } = call;
  const { shell, rsyncPath, src, dest } = ends;
  const own = templar.vars.ansible_rsync_path;
  const program = await near.which(own === undefined || own === null ? "rsync" : textOr(own));
  if (program === null)
    return failure(
      `Failed to find required executable "rsync" where the task begins; install the package rsync there`,
    );
  const links = listOf(args.link_dest);
  if (shell === undefined && links.length > 0) {
    const within = links.find((path) => `${path.replace(/\/?$/, "/")}`.startsWith(src.replace(/\/?$/, "/")));
    if (within !== undefined)
      return failure(`link_dest ${within} lies within src, ${src}: its links would be copied too`);
  }
  const argv = [
    program,
    ...optionsOf(args, check),
    ...(shell === undefined ? [] : [`--rsh=${commandLine(shell)}`]),
    ...(rsyncPath === undefined ? [] : [`--rsync-path=${rsyncPath}`]),
    // The options are one line of shell, as in Ansible.
    ...commandWords(listOf(args.rsync_opts).join(" ")),
    ...(readBool(args.partial) === true ? ["--partial"] : []),
    ...(links.length === 0 ? [] : ["-H", "-vv", ...links.map((path) => `--link-dest=${path}`)]),
    `--out-format=${MARK}%i %n%L`,
    src,
    dest,
  ];
  const cmd = commandLine(argv);
  const ended: ProcessResult = await near.run(argv, {
    signal,
    maxOutput: MAX_OUTPUT,
    onOutput: (stream, text) => {
      if (!noLog) turn.output(stream, text.replaceAll(MARK, ""));
    },
  });
  const { code: rc, stdout, stderr } = ended;
  if (rc !== 0) return { register: { changed: false, failed: true, msg: stderr, rc, cmd } };
  const msg = stdout.replaceAll(MARK, "");
  const showsDiff = await whenAnswered(() => {
    const diff = settled(call.frame, "diff", templar.value);
    return diff === undefined ? interpreter.host.job.options.diff : boolOf(diff, "diff");
  });
  return {
    register: {
      changed: stdout.includes(MARK),
      failed: false,
      msg,
      rc,
      cmd,
      stdout_lines: msg.replace(/\n$/, "") === "" ? [] : msg.replace(/\n$/, "").split("\n"),
      ...(showsDiff ? { diff: { prepared: msg } } : {}),
    },
  };
}

function failure(msg: string): ModuleEnd {
  return { register: { changed: false, failed: true, msg } };
}
