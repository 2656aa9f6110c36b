import * as v from "valibot";
import { flag, oneOf, optionalText } from "../shared/params.ts";
import { type AptRequest, AUTO_REMOVE } from "./apt-plan.ts";
import { type PackageSpec, parsePackageSpec } from "./dpkg.ts";

function toList(value: string | readonly string[]): readonly string[] {
  const items = typeof value === "string" ? value.split(",") : value;
  return items.map((item) => item.trim()).filter((item) => item !== "");
}

function isSpec(text: string): boolean {
  return text === "*" || parsePackageSpec(text) !== null;
}

function packageNames(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())], "a package name or a list of them is expected"),
      v.transform((value): readonly string[] => toList(value)),
      v.check(
        (names) => names.every(isSpec),
        ({ input }) =>
          `"${input.find((name) => !isSpec(name))}" is no package name; write "nginx", "nginx=1.22*" or "nginx>=1.22"`,
      ),
      v.description(description),
    ),
  );
}

function seconds(initial: number, description: string) {
  return v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description)), initial);
}

const UPGRADE_WORDS = ["no", "yes", "safe", "full", "dist"] as const;

/** The parameters of the apt action, under Ansible's names. */
export const aptParams = v.pipe(
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
    cache_valid_time: seconds(
      0,
      "Seconds for which fetched package lists stay valid; implies `update_cache`.",
    ),
    update_cache_retries: seconds(5, "How often fetching the lists is retried."),
    update_cache_retry_max_delay: seconds(12, "The longest wait before a retry, in seconds."),
    upgrade: v.optional(
      v.pipe(
        v.union([v.picklist(UPGRADE_WORDS), v.boolean()]),
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
      "Path of a package file on the host, installed with its dependencies. Refused if it would remove packages, unless `force` is set.",
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
    lock_timeout: seconds(60, "Seconds to wait for another apt or dpkg to end."),
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
    'give only one of "name", "deb" and "upgrade"',
  ),
  v.check(
    ({ state, name, pkg, package: packageName }) =>
      state === "latest" || !(name ?? pkg ?? packageName)?.includes("*"),
    '"*" stands for every installed package and goes with state: "latest" only',
  ),
  v.check(
    (params) => params.deb === undefined || !params.deb.includes("://"),
    "deb is a path on the host; fetch the file with get_url first",
  ),
);

/** The validated parameters of the apt action. */
export type AptParams = v.InferOutput<typeof aptParams>;

/** Translate the parameters into the request that {@link planApt} takes. */
export function requestOf(params: AptParams): AptRequest {
  const names = params.name ?? params.pkg ?? params.package;
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
    deb: params.deb ?? null,
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
    ...(params.default_release === undefined ? [] : ["--target-release", params.default_release]),
    ...(recommends === undefined ? [] : [recommends ? "--install-recommends" : "--no-install-recommends"]),
    ...(params.autoremove ? [AUTO_REMOVE] : []),
    ...(params.only_upgrade ? ["--only-upgrade"] : []),
    ...(params.fail_on_autoremove && params.state !== "absent" ? ["--no-remove"] : []),
    ...(params.allow_downgrade || force ? ["--allow-downgrades"] : []),
    ...(params.allow_unauthenticated || force ? ["--allow-unauthenticated"] : []),
    ...(params.allow_change_held_packages || force ? ["--allow-change-held-packages"] : []),
  ];
}
