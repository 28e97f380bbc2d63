// What a process of ours is to another. By itself, since to start processes is a megabyte that only the keeper needs.

export const CHANNEL_FD = 3;

/** Role argument of a child: not part of the command line that users see. */
export const CHILD_COMMAND = '__child';
