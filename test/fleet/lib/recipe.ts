/** The packages of every fleet host besides Debian's minimal base, as a small server has them. */
export const hostPackages: readonly string[] = [
  "acl",
  "ca-certificates",
  "cron",
  "dbus",
  "git",
  "iproute2",
  "libpam-systemd",
  "openssh-server",
  "openssh-sftp-server",
  "procps",
  "python3",
  "python3-apt",
  "sudo",
  "systemd",
  "systemd-sysv",
  "unzip",
  "vim-tiny",
];

/** The password of the users `pass` (who needs it for sudo too) on every fleet host. */
export const hostPassword = "correct horse";

/** The users of every fleet host that can log in with the fleet's key. */
export const hostUsers: readonly string[] = ["root", "deploy", "plain", "pass"];

/** Files of every fleet host, by path. */
export const hostFiles: Readonly<Record<string, { readonly text: string; readonly mode: number }>> = {
  "/etc/ssh/sshd_config.d/10-fleet.conf": {
    mode: 0o644,
    text: [
      "HostKey /etc/ssh/ssh_host_ed25519_key",
      "MaxStartups 200",
      "PasswordAuthentication yes",
      "PermitRootLogin prohibit-password",
      "UseDNS no",
      "",
    ].join("\n"),
  },
  "/etc/sudoers.d/fleet": {
    mode: 0o440,
    text: "deploy ALL=(ALL:ALL) NOPASSWD: ALL\npass ALL=(ALL:ALL) ALL\n",
  },
  // Hosts are thrown away, so flushing every unpacked file to disk only costs time.
  "/etc/dpkg/dpkg.cfg.d/fleet": { mode: 0o644, text: "force-unsafe-io\n" },
};

/** The script that `sh` runs in the new tree once its packages and files are there. */
export const hostScript = `set -eu
useradd --create-home --shell /bin/sh deploy
useradd --create-home --shell /bin/bash plain
useradd --create-home --shell /bin/bash pass
echo 'pass:${hostPassword}' | chpasswd
# A timer that takes apt's lock at a moment of its own makes tests fail at random.
for timer in apt-daily.timer apt-daily-upgrade.timer; do
  ln -sf /dev/null "/etc/systemd/system/$timer"
done
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
for user in root deploy plain pass; do
  home=$(getent passwd "$user" | cut -d: -f6)
  install -d -m 700 -o "$user" -g "$user" "$home/.ssh"
  install -m 600 -o "$user" -g "$user" /dev/null "$home/.ssh/authorized_keys"
done
update-ca-certificates >/dev/null
apt-get -qq update
apt-get -qq -y -o Dpkg::Options::=--force-confold upgrade
apt-get clean
# Or the first use of apt on every host would build it.
apt-cache gencaches
`;
