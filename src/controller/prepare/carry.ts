import { createHash } from "node:crypto";
import type { BuildOptions, Bundle } from "../../bundle/build.ts";
import { listRuntimes, readRuntime } from "../../bundle/runtimes/store.ts";
import { signBundle } from "../../bundle/signing/sign.ts";
import type { CarriedHost } from "../../core/bundle.ts";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch, RuntimeTraits } from "../../core/runtimes.ts";
import { findSecrets } from "../../core/secret.ts";
import { BECOME_PASSWORD_VARS } from "../../core/unix/users.ts";
import { createMask, maskError } from "../../vars/mask.ts";
import type { AskSecret, SecretOptions } from "../../vars/secrets/sources.ts";
import { createSecretStore } from "../../vars/secrets/store.ts";
import { encodeVars } from "../../vars/whole-value.ts";
import type { RunOptions } from "./options.ts";
import {
  type HostPlan,
  type JobCourse,
  makeJob,
  type OpenHostPlan,
  openPlan,
  readHostPlan,
  secretsOf,
  varsOfJobs,
} from "./plan.ts";
import { preflight } from "./preflight.ts";
import { preparePlaybook } from "./read.ts";
import { openVaulted } from "./vaulted.ts";

/** Ingredients of a bundle to be carried. */
export interface CarryOptions {
  readonly playbook: string;
  readonly cwd: string;
  /** Default: the bundle holds no hosts and no vars. */
  readonly inventory?: readonly string[];
  readonly limit?: string;
  /** Allow the bundle to hold the secrets of its hosts, in clear. Default false: such a bundle is refused. */
  readonly withSecrets?: boolean;
  /** The key that signs the bundle, as {@link signBundle} takes it. Default: none does. */
  readonly signingKey?: string;
  readonly secrets?: SecretOptions;
  /** Settings of Ansible for a playbook in YAML. */
  readonly ansible?: RunOptions["ansible"];
  /** Vars that win over all others, as {@link RunOptions} has them. Needs an inventory. */
  readonly extraVars?: RunOptions["extraVars"];
  readonly ask?: AskSecret;
  /** Is told what is wrong with the inventory or the vars, and is passed over: the bundle lacks it. */
  readonly warn?: (text: string) => void;
  /** The architectures whose runtimes the bundle holds. Default: none, and the hosts need a Node of their own. */
  readonly runtimes?: readonly RuntimeArch[];
}

/** A bundle to be carried. */
export interface CarriedBundle extends Bundle {
  /** The names of its hosts; none without an inventory. */
  readonly hosts: readonly string[];
  readonly runtimes: readonly RuntimeTraits[];
}

/** Make a bundle that is carried to its hosts and run there with `--local`. The bundle holds only the vars of these hosts. */
export async function carryBundle(options: CarryOptions): Promise<CarriedBundle> {
  const { playbook, cwd, inventory: paths, limit, withSecrets = false, signingKey, ask, extraVars } = options;
  const prepared = await preparePlaybook(playbook, cwd, options.ansible);
  const runtimes = await readRuntimes(options.runtimes ?? []);
  const build = async (ingredients: BuildOptions): Promise<Bundle> => {
    const bundle = await prepared.bundle({ ...ingredients, isSigned: signingKey !== undefined, runtimes });
    return signingKey === undefined ? bundle : await sign(bundle, signingKey);
  };
  if (paths === undefined) {
    if (extraVars !== undefined)
      throw new VolleyError("USAGE", "--extra-vars are for the hosts of an inventory: name one with -i");
    if (limit !== undefined)
      throw new VolleyError("USAGE", "--limit picks hosts of an inventory: name one with -i");
    return { ...(await build({ carried: true, vars: [] })), hosts: [], runtimes };
  }
  const secrets = createSecretStore({ ...options.secrets, cwd, ...(ask === undefined ? {} : { ask }) });
  // What is encrypted in the playbook itself goes along only on request: a run that needs it says so.
  const { playbook: opened, vaulted } = withSecrets
    ? await openVaulted(prepared, secrets)
    : { playbook: prepared, vaulted: undefined };
  const planned = await readHostPlan(opened, { inventory: paths, limit, cwd, secrets, extraVars });
  if (!withSecrets) refuseSecrets(planned);
  const plan = await openPlan(planned, secrets);
  for (const { text } of plan.warnings) options.warn?.(text);
  try {
    await preflight({ ...plan, assets: prepared.assets, check: false, guests: prepared.playbook.guests });
  } catch (thrown) {
    const mask = createMask([...plan.hosts.flatMap(secretsOf), ...(vaulted?.secrets ?? [])]);
    const located = prepared.locate(thrown);
    throw mask === null ? located : maskError(mask, located);
  }
  const bundle = await build({
    carried: true,
    hosts: (asksForGroups) => carriedHosts(plan, { asksForGroups, vaulted }),
    vars: [...varsOfJobs(plan), ...(vaulted?.values ?? [])],
  });
  return { ...bundle, hosts: plan.hosts.map(({ name }) => name), runtimes };
}

async function sign(bundle: Bundle, key: string): Promise<Bundle> {
  const bytes = await signBundle(bundle.bytes, key);
  return { ...bundle, bytes, id: createHash("sha256").update(bytes).digest("hex") };
}

/** Read the newest runtimes of some architectures. Fails with `RUNTIME_FAILED` where one was not fetched. */
async function readRuntimes(archs: readonly RuntimeArch[]): Promise<NonNullable<BuildOptions["runtimes"]>> {
  const known = listRuntimes();
  return await Promise.all(
    archs.map(async (arch) => {
      const runtime = known.find((each) => each.arch === arch);
      if (runtime === undefined)
        throw new VolleyError("RUNTIME_FAILED", `there is no runtime for ${arch} here`, {
          hint: `volley runtime fetch --arch ${arch} brings one`,
        });
      return { ...runtime, archive: await readRuntime(runtime) };
    }),
  );
}

function carriedHosts(
  plan: OpenHostPlan,
  course: Omit<JobCourse, "options">,
): Readonly<Record<string, CarriedHost>> {
  const options = { check: false, diff: false, tags: [], skipTags: [], barriers: false };
  return Object.fromEntries(
    plan.hosts.map((host) => {
      const {
        protocol: _protocol,
        host: name,
        options: _options,
        ...carried
      } = makeJob(host, plan, {
        options,
        ...course,
      });
      return [name, encodeVars(carried)];
    }),
  );
}

/** Fail with `USAGE` when the plan's hosts, or hosts whose vars its plays may read, have secrets. */
function refuseSecrets({ hosts, plays, inventory }: HostPlan): void {
  const shared = new Set(plays.flatMap(({ play }) => play.hostVars ?? []));
  const found = [...inventory.hosts.values()].flatMap((host) => {
    const all = hosts.includes(host);
    const names = Object.entries(host.vars)
      // Become passwords never leave the controller.
      .filter(([name]) => !BECOME_PASSWORD_VARS.includes(name))
      .filter(([name, value]) => (all || shared.has(name)) && findSecrets(value).length > 0)
      .map(([name]) => `${name} of ${host.name}`);
    const files = all ? (host.locked ?? []).map(({ location }) => location?.file ?? "an encrypted file") : [];
    return [...names, ...files.map((file) => `what is in ${file}`)];
  });
  const told = [...new Set(found)];
  if (told.length === 0) return;
  const shown = `${told.slice(0, 3).join(", ")}${told.length > 3 ? ` and ${told.length - 3} more` : ""}`;
  throw new VolleyError("USAGE", `the bundle would hold secrets in clear: ${shown}`, {
    hint: "give --with-secrets to have them in it, and keep the file as safe as they are; a bundle made without -i, and one that a run sends, holds none",
  });
}
