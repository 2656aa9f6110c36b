import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { Register } from "../play/register.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Tasks in the background: async, and async_status.

/** A task that goes on beside the play. */
interface BackgroundJob {
  readonly file: string;
  /** Set once it has ended. */
  end?: Register;
}

const jobs = new Map<string, BackgroundJob>();
let started = 0;

const nextId = (): string => `j${process.pid}.${++started}${Date.now() % 1_000_000}`;

const fileOf = (home: string, id: string): string => posix.join(home, ".ansible_async", id);

/** Add to the result of a task with `async` that was waited for (`poll` above 0) what Ansible says of its job. */
export function asPolled(home: string, end: ModuleEnd): ModuleEnd {
  const id = nextId();
  const job = { ansible_job_id: id, results_file: fileOf(home, id), started: 1, finished: 1 };
  return { ...end, register: { ...end.register, ...job } };
}

/** The message of a job that took longer than its seconds. */
export const overdue = (seconds: number): string =>
  `async task did not complete within the requested time - ${seconds}s`;

/** Begin work in the background; returns what `async` with `poll: 0` returns at once. */
export function startJob(home: string, seconds: number, work: () => Promise<ModuleEnd>): ModuleEnd {
  const id = nextId();
  const job: BackgroundJob = { file: fileOf(home, id) };
  jobs.set(id, job);
  const late = setTimeout(() => {
    job.end ??= {
      changed: false,
      failed: true,
      msg: overdue(seconds),
    };
  }, seconds * 1000);
  late.unref();
  void work()
    .then(
      ({ register }) => register,
      (thrown: unknown): Register => ({
        changed: false,
        failed: true,
        msg: thrown instanceof Error ? thrown.message : String(thrown),
      }),
    )
    .then((register) => {
      job.end ??= register;
      clearTimeout(late);
    });
  return {
    register: {
      changed: true,
      failed: false,
      started: 1,
      finished: 0,
      ansible_job_id: id,
      results_file: job.file,
    },
  };
}

/** The output of a job that has none; as in Ansible with its lines. */
const NO_OUTPUT = { stdout: "", stderr: "", stdout_lines: [], stderr_lines: [] } as const;

/** `async_status`: whether a task in the background has ended, and its result. */
export function asyncStatus({ args, interpreter }: RenderedCall): ModuleEnd {
  const { jid, mode = "status" } = args;
  if (jid === undefined) throw new VolleyError("PARAMS_INVALID", "missing required arguments: jid");
  const id = String(jid);
  const job = jobs.get(id);
  if (job === undefined)
    return {
      register: {
        changed: false,
        failed: true,
        started: 1,
        finished: 1,
        ansible_job_id: id,
        results_file: fileOf(interpreter.home, id),
        ...NO_OUTPUT,
        msg: "could not find job",
      },
    };
  if (mode === "cleanup") {
    jobs.delete(id);
    return {
      register: {
        changed: false,
        failed: false,
        started: 0,
        finished: 0,
        erased: job.file,
        ansible_job_id: id,
        ...NO_OUTPUT,
      },
    };
  }
  const common = { ansible_job_id: id, results_file: job.file, started: 1 };
  if (job.end === undefined)
    return { register: { changed: false, failed: false, ...common, ...NO_OUTPUT, finished: 0 } };
  return { register: { ...job.end, ...common, finished: 1 } };
}
