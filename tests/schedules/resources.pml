/* SPDX-License-Identifier: MIT
 *
 * resources.pml - "exhausted" (luid_bitmap.h, Linearization): a searcher must
 * not say so if some index was free all the time.  Two indexes; one moves
 * from the second to the first while the searcher scans.
 * -DNO_TELL: who frees does not count up: must be found.
 */
bit free0 = 0, free1 = 1;
byte verifying = 0, frees = 0;

active proctype mover()
{
	/* Index 0 becomes free before index 1 is taken: one always is. */
	free0 = 1;
#ifndef NO_TELL
	if
	:: verifying != 0 -> frees++
	:: else
	fi;
#endif
	if
	:: atomic { free1 == 1 -> free1 = 0 }
	:: atomic { free1 == 0 -> skip }
	fi
}

active proctype searcher()
{
	byte noted;

	verifying++;
	noted = frees;
again:
	if
	:: atomic { free0 == 1 -> free0 = 0 }; goto done
	:: atomic { free0 == 0 -> skip }
	fi;
	if
	:: atomic { free1 == 1 -> free1 = 0 }; goto done
	:: atomic { free1 == 0 -> skip }
	fi;
	if
	:: frees != noted -> noted = frees; goto again
	:: else
	fi;
	assert(false);  /* "exhausted", and it was not */
done:
	verifying--
}
