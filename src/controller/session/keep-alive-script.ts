import { ENDS_WITH_LOGIN } from "../../core/bundle.ts";

const TRUE = "(1|y|yes|t|true|on)";

/**
 * The lines of shell that put into `$k` what a bundle is to be started by, so that it outlives the login: nothing, but on
 * a host whose logind ends what a login leaves behind (`KillUserProcesses=yes`, logind.conf(5)). There it gets a scope of
 * its own: root of the system's, another user of its own manager's, where one is reachable. That manager goes 10 s after
 * the last login, unless the user lingers; a controller that comes back is one. Any other host pays for one grep.
 */
export function keepAliveScript(): string {
  const files = [
    "/etc/systemd/logind.conf",
    "/etc/systemd/logind.conf.d/*.conf",
    "/run/systemd/logind.conf.d/*.conf",
    "/usr/lib/systemd/logind.conf.d/*.conf",
  ];
  return `k=; if grep -qsiE '^[[:blank:]]*KillUserProcesses[[:blank:]]*=[[:blank:]]*${TRUE}[[:blank:]]*$' ${files.join(" ")} && grep -qs '/user-[0-9]*[.]slice/session-' /proc/self/cgroup; then
n=$(cat /proc/self/cgroup); n=\${n##*/user-}; n=$(getent passwd "\${n%%.slice*}" | cut -d: -f1)
p=$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses KillExcludeUsers KillOnlyUsers 2>/dev/null) || p='b true
as 1 "root"
as 0'
case $(echo "$p" | sed -n 1p):$(echo "$p" | sed -n 2p) in "b true:"*"\\"$n\\""*) ;; "b true:"*) case $(echo "$p" | sed -n 3p) in "as 0"|*"\\"$n\\""*)
u=$(id -u) k='systemd-run --scope -q --'
[ "$u" = 0 ] || { k='systemd-run --user --scope -q --'; export XDG_RUNTIME_DIR="\${XDG_RUNTIME_DIR:-/run/user/$u}"; }
$k true </dev/null >/dev/null 2>&1 || k=
[ -n "$k" ] && { [ "$u" = 0 ] || [ -e "/var/lib/systemd/linger/$(id -un)" ]; } || export ${ENDS_WITH_LOGIN}=1
;; esac;; esac; fi`;
}
