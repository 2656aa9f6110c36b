import * as v from "valibot";
import { describe, flag, nameText, oneOf, optionalText, text } from "../shared/params.ts";

// crypt(5): `$id$…`, bsdicrypt's `_…`, the 13 characters of DES; `!` and `*` lock.
const CRYPT_HASH = /^(?:[!*].*|\$[^:\s]+|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}|)$/;

const optionalInteger = (description: string) =>
  v.optional(v.pipe(v.number(), v.integer(), v.description(description)));

/** The user action's parameters, under Ansible's names. */
export const userParams = v.pipe(
  v.strictObject({
    name: v.optional(nameText("Login name.")),
    user: v.optional(nameText("The same as `name`.")),
    state: oneOf(["present", "absent"], "present", "Whether the account exists."),
    uid: optionalInteger("User id. Default: the next free one."),
    non_unique: flag("Let the id be that of another user as well."),
    group: v.optional(describe(v.union([v.string(), v.number()]), "Primary group, by name or id.")),
    groups: v.optional(
      v.pipe(
        v.union(
          [v.string(), v.array(v.union([v.string(), v.number()]))],
          "a group name or a list of them is expected",
        ),
        v.transform((value): readonly string[] =>
          (typeof value === "string" ? value.split(",") : value.map(String))
            .map((name) => name.trim())
            .filter((name) => name !== ""),
        ),
        v.description(
          "Supplementary groups, as a list or separated by commas; all others are left unless `append`.",
        ),
      ),
    ),
    append: flag("Add to `groups` without leaving others."),
    comment: v.optional(describe(v.string(), "Full name or description (GECOS).")),
    home: optionalText("Home directory."),
    create_home: v.optional(
      v.pipe(v.boolean(), v.description("Make the home directory when it does not exist. Default true.")),
    ),
    createhome: v.optional(v.pipe(v.boolean(), v.description("The same as `create_home`."))),
    move_home: flag("Move what is in the old home directory when `home` is another."),
    skeleton: optionalText("Directory whose content a new home directory starts with. Default `/etc/skel`."),
    umask: optionalText("Umask a new home directory is made with."),
    shell: optionalText("Login shell."),
    system: flag("Make it a system account; counts only when it is made."),
    password: v.optional(
      v.pipe(
        v.string(),
        v.regex(
          CRYPT_HASH,
          "must be a hash as `openssl passwd -6` makes it (or `!` to lock), not the password itself",
        ),
        v.description("Hash of the password, as crypt(5) makes it; `!` or `*` for none."),
      ),
    ),
    update_password: oneOf(
      ["always", "on_create"],
      "always",
      "`on_create` leaves the password of an account that exists.",
    ),
    password_lock: v.optional(v.pipe(v.boolean(), v.description("Lock or unlock the password."))),
    password_expire_max: optionalInteger("Days after which the password must be changed."),
    password_expire_min: optionalInteger("Days before which the password cannot be changed."),
    expires: v.optional(
      v.pipe(
        v.number(),
        v.description("When the account expires, in seconds since 1970; a negative number removes it."),
      ),
    ),
    remove: flag('With `state: "absent"`, remove the home directory and mail as well.'),
    force: flag(
      'With `state: "absent"`, remove a user who is logged in; with `generate_ssh_key`, replace the key.',
    ),
    generate_ssh_key: flag("Make a key pair when there is none."),
    ssh_key_type: v.optional(text("`rsa`, `ed25519` or `ecdsa`."), "rsa"),
    ssh_key_bits: optionalInteger("Length of the key. Default: ssh-keygen's."),
    ssh_key_file: optionalText("Path of the private key, from the home directory. Default `.ssh/id_TYPE`."),
    ssh_key_comment: optionalText("Comment of the key. Default: `volley-generated on HOSTNAME`."),
    ssh_key_passphrase: optionalText("Passphrase of the key. Default none."),
    seuser: optionalText("SELinux user."),
    local: flag("Accepted and ignored: local files are always what is changed."),
    login_class: optionalText("Accepted and ignored on Linux."),
    hidden: v.optional(describe(v.boolean(), "Accepted and ignored on Linux.")),
    profile: optionalText("Accepted and ignored on Linux."),
    role: optionalText("Accepted and ignored on Linux."),
    authorization: optionalText("Accepted and ignored on Linux."),
  }),
  v.check(
    ({ name, user }) => (name === undefined) !== (user === undefined),
    "name is required, and user is the same; give one of them",
  ),
  v.transform(({ name, user, create_home, createhome, ...rest }) => ({
    ...rest,
    name: name ?? user ?? "",
    create_home: create_home ?? createhome ?? true,
  })),
);

/** The user action's parameters once validated. */
export type UserParams = v.InferOutput<typeof userParams>;
