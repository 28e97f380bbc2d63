// Who started the program, by what it left in the environment (sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)).

import type { Logger } from '../base/log.ts';
import type { PassedListener, Supervisor } from '../keeper/system.ts';
import { adoptListening, errnoName, type NativeIo, sendToUnix } from '../native/index.ts';
import { tellStarter } from './detach.ts';

/** The first descriptor that is passed (SD_LISTEN_FDS_START). */
const FIRST_FD = 3;
const VARIABLES = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', 'LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'];

/** Takes the variables out of `env`, so that no child of ours takes what is said in them for its own. */
export function supervisorOf(env: NodeJS.ProcessEnv, io: NativeIo, log: Logger): Supervisor {
  const said = Object.fromEntries(VARIABLES.map((name) => [name, env[name] ?? '']));
  for (const name of VARIABLES) delete env[name];
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: usec = '', WATCHDOG_PID: watched = '' } = said;
  const isWatched = socket !== '' && /^[1-9]\d{0,14}$/.test(usec) && (watched === '' || isOwn(watched));
  const tell = socket === '' ? () => {} : notifier(socket, io, log);
  return {
    watchdogUs: isWatched ? Number(usec) : 0,
    notify: (state) => {
      tell(state);
      if (state.startsWith('READY=1')) tellStarter();
    },
    passed: isOwn(said['LISTEN_PID'] ?? '') ? passedListeners(said, io, log) : [],
  };
}

function isOwn(pid: string): boolean {
  return pid === String(process.pid);
}

/** A supervisor that cannot be told is no reason to do anything else; it is said once. */
function notifier(socket: string, io: NativeIo, log: Logger): (state: string) => void {
  let failed = false;
  return (state) => {
    // systemd wants to know since when, by the clock that it reads itself.
    const since = state.startsWith('RELOADING=1') ? `\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}` : '';
    const result = sendToUnix(io, socket, `${state}${since}\n`);
    if (result < 0 && !failed) log.warn('cannot notify the supervisor', { socket, reason: errnoName(result) });
    failed = result < 0;
  };
}

function passedListeners(said: Readonly<Record<string, string>>, io: NativeIo, log: Logger): PassedListener[] {
  const { LISTEN_FDS: count = '', LISTEN_FDNAMES: names = '' } = said;
  if (!/^\d{1,4}$/.test(count)) {
    log.error('LISTEN_FDS is no number of descriptors', { value: count });
    return [];
  }
  const found: PassedListener[] = [];
  const all = names.split(':');
  for (let i = 0; i < Number(count); i++) {
    const [fd, name] = [FIRST_FD + i, all[i] ?? ''];
    const passed = adoptListening(io, fd);
    if (typeof passed === 'string')
      log.error('a descriptor passed by LISTEN_FDS cannot be used', { fd, name, reason: `it ${passed}` });
    else if (found.some(({ address, port }) => address === passed.address && port === passed.port)) {
      log.error('a descriptor passed by LISTEN_FDS cannot be used', { fd, name, reason: 'another one listens there' });
      io.close(passed.handle);
    } else found.push({ ...passed, name });
  }
  return found;
}
