import * as v from "valibot";
import { flag, oneOf, optionalText } from "../shared/params.ts";
import type { AptRunOptions } from "./apt-get.ts";
import { type AptRequest, AUTO_REMOVE, TARGET_RELEASE } from "./apt-plan.ts";
import { type PackageSpec, parsePackageSpec } from "./dpkg.ts";

// The parameters of the apt action: their schema, and what apt-get makes of them.

function packageNames(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())], "a package name or a list of them is expected"),
      v.transform((value): readonly string[] => listOf(value)),
      v.check(
        (names) => names.every(isSpec),
        ({ input }) =>
          `"${input.find((name) => !isSpec(name))}" is no package name; write "nginx", "nginx=1.22*" or "nginx>=1.22"`,
      ),
      v.description(description),
    ),
  );
}

function isSpec(text: string): boolean {
  return text === "*" || parsePackageSpec(text) !== null;
}

/** A whole number, as apt-get takes it; with a default. */
function wholeNumber(description: string, initial: number) {
  return v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description)), initial);
}

/** The parameters of the apt action, under Ansible's names. */
export const params = v.pipe(
  v.strictObject({
    name: packageNames(
      'Packages: `"nginx"`, `"nginx=1.22*"`, `"nginx>=1.22"`, `"php8.2-*"`, or a list. `"*"` with `state: "latest"` upgrades all packages.',
    ),
    pkg: packageNames("The same as `name`."),
    package: packageNames("The same as `name`."),
    state: oneOf(
      ["present", "latest", "absent", "build-dep", "fixed"],
      "present",
      "`latest` upgrades too; `build-dep` installs build dependencies; `fixed` repairs broken dependencies.",
    ),
    update_cache: v.optional(v.pipe(v.boolean(), v.description("Fetch the package lists first."))),
    cache_valid_time: wholeNumber(
      "Seconds for which fetched package lists stay valid; implies `update_cache`.",
      0,
    ),
    update_cache_retries: wholeNumber("How often fetching the lists is retried.", 5),
    update_cache_retry_max_delay: wholeNumber("The longest wait before a retry, in seconds.", 12),
    upgrade: v.optional(
      v.pipe(
        v.union([v.picklist(["no", "yes", "safe", "full", "dist"]), v.boolean()]),
        v.transform((value) => (typeof value === "boolean" ? (value ? "yes" : "no") : value)),
        v.description("Upgrade all packages: `yes` and `safe` remove nothing, `full` and `dist` may."),
      ),
      "no",
    ),
    purge: flag("Remove configuration files as well."),
    autoremove: flag(
      "Remove packages that were installed as dependencies and are no longer needed; may be the only parameter.",
    ),
    autoclean: flag("Remove downloaded packages that can no longer be fetched."),
    clean: flag("Remove all downloaded packages."),
    install_recommends: v.optional(
      v.pipe(
        v.boolean(),
        v.description("Install recommended packages too. Default: the host's apt configuration."),
      ),
    ),
    default_release: optionalText("Release to prefer, such as `bookworm-backports`."),
    deb: optionalText(
      "A package file, installed with its dependencies: a path on the host, or an `http:` or `https:` URL. Refused if it would remove packages, unless `force` is set.",
    ),
    only_upgrade: flag("Upgrade installed packages; install no new ones."),
    allow_downgrade: flag("Let an older version replace a newer one."),
    allow_unauthenticated: flag("Install packages that cannot be authenticated."),
    allow_change_held_packages: flag("Change packages that are on hold."),
    force: flag(
      "Implies `allow_unauthenticated`, `allow_downgrade` and `allow_change_held_packages`. Avoid it.",
    ),
    fail_on_autoremove: flag("Fail rather than remove any package."),
    dpkg_options: v.optional(
      v.pipe(v.string(), v.description("Options for dpkg, separated by commas, without leading dashes.")),
      "force-confdef,force-confold",
    ),
    policy_rc_d: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.description(
          "Exit code of `/usr/sbin/policy-rc.d` during the task: 101 keeps new services from starting.",
        ),
      ),
    ),
    force_apt_get: flag("Accepted and ignored: apt-get is always used."),
    lock_timeout: wholeNumber("Seconds to wait for another apt or dpkg to end.", 60),
  }),
  v.check(
    ({ name, pkg, package: packageName }) =>
      [name, pkg, packageName].filter((given) => given !== undefined).length < 2,
    "name, pkg and package are the same; give one of them",
  ),
  v.check(
    ({ name, pkg, package: packageName, deb, upgrade }) =>
      [(name ?? pkg ?? packageName) !== undefined, deb !== undefined, upgrade !== "no"].filter(Boolean)
        .length < 2,
    "parameters are mutually exclusive: deb|package|upgrade",
  ),
  v.check(
    ({ state, name, pkg, package: packageName }) =>
      state === "latest" || !(name ?? pkg ?? packageName)?.includes("*"),
    '"*" stands for every installed package and goes with state: "latest" only',
  ),
  v.check(({ name, pkg, package: packageName }) => {
    const names = name ?? pkg ?? packageName;
    return names?.includes("*") !== true || names.length === 1;
  }, '"*" stands for every installed package: unable to install additional packages when upgrading all installed packages'),
);

/** The validated parameters of the apt action. */
export type AptParams = v.InferOutput<typeof params>;

/** Other names that Ansible's playbooks may use. */
export const aliases = {
  "update-cache": "update_cache",
  "default-release": "default_release",
  "install-recommends": "install_recommends",
  "allow-downgrade": "allow_downgrade",
  allow_downgrades: "allow_downgrade",
  "allow-downgrades": "allow_downgrade",
  "allow-unauthenticated": "allow_unauthenticated",
} as const;

/** Return the named packages; undefined when none of the three parameters is given. */
export function namesOf({ name, pkg, package: packageName }: AptParams): readonly string[] | undefined {
  return name ?? pkg ?? packageName;
}

/** Return the options of every run of apt-get that changes something. */
export function runOptions({ dpkg_options, lock_timeout }: AptParams): AptRunOptions {
  return { dpkgOptions: listOf(dpkg_options), lockTimeoutSeconds: lock_timeout };
}

/** Translate the parameters into the request that {@link planApt} takes. */
export function requestOf(params: AptParams): AptRequest {
  const names = namesOf(params);
  const specs = (names ?? [])
    .map(parsePackageSpec)
    .filter((spec): spec is PackageSpec => spec !== null && spec.name !== "*");
  const upgradesAll = params.state === "latest" && names?.includes("*") === true;
  const upgrade = params.upgrade !== "no" ? params.upgrade : upgradesAll ? "yes" : "no";
  return {
    specs,
    state: params.state,
    purge: params.purge,
    upgrade: upgrade === "no" ? null : upgrade === "yes" || upgrade === "safe" ? "upgrade" : "dist-upgrade",
    deb: params.deb?.replace(/^file:\/\//, "") ?? null,
    mayRemove: params.force,
    allowDowngrade: params.allow_downgrade || params.force,
    autoremoveAlone:
      params.autoremove &&
      names === undefined &&
      params.deb === undefined &&
      upgrade === "no" &&
      params.state !== "fixed",
    flags: aptFlags(params),
  };
}

function aptFlags(params: AptParams): readonly string[] {
  const { force, install_recommends: recommends } = params;
  return [
    ...(params.default_release === undefined ? [] : [TARGET_RELEASE, params.default_release]),
    ...(recommends === undefined ? [] : [recommends ? "--install-recommends" : "--no-install-recommends"]),
    ...(params.autoremove ? [AUTO_REMOVE] : []),
    ...(params.only_upgrade ? ["--only-upgrade"] : []),
    ...(params.fail_on_autoremove && params.state !== "absent" ? ["--no-remove"] : []),
    ...(params.allow_downgrade || force ? ["--allow-downgrades"] : []),
    ...(params.allow_unauthenticated || force ? ["--allow-unauthenticated"] : []),
    ...(params.allow_change_held_packages || force ? ["--allow-change-held-packages"] : []),
  ];
}

/** Return the items of a list, or of a text with commas. */
function listOf(value: string | readonly string[]): readonly string[] {
  const items = typeof value === "string" ? value.split(",") : value;
  return items.map((item) => item.trim()).filter((item) => item !== "");
}
