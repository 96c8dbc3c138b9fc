/* SPDX-License-Identifier: MIT
 *
 * lease.pml - nb_bitmap_unlease() of a block of one index that is retained,
 * against its release and a claim.  Nobody may put back into, or own an
 * index of, a block that has been given back, and none may be lost if it has
 * not.  That a mark may be off for a moment is what transit.h is for.
 * -DNO_PIN: unlease does not look at the pins; -DNO_AGAIN: it does not look
 * at `mine` once more: must be found.
 */
bit free_ = 0, mine = 0;  /* retained */
bit leased = 1, unleased = 0, skipped = 0;
byte pins = 0, owners = 0, done = 0;

/* Releases it: puts it back if the block is leased here, under a pin. */
active proctype releaser()
{
	pins++;
	if
	:: leased ->
		assert(!unleased);
		mine = 1;
		assert(!unleased);
		free_ = 1
	:: else -> skipped = 1
	fi;
	pins--;
	done++
}

active proctype claimer()
{
	if
	:: atomic { free_ == 1 -> free_ = 0; owners++ };
		assert(!unleased && owners == 1);
		owners--;
		free_ = 1
	:: atomic { free_ == 0 -> skip }
	fi;
	done++
}

active proctype trimmer()
{
	bit taken, vacant;

	if
	:: free_ != mine -> goto out
	:: else
	fi;
	if
	:: pins != 0 -> goto out
	:: else
	fi;
	atomic { taken = free_; free_ = 0 };
	atomic {
		vacant = (mine == taken);
		if
		:: vacant -> mine = 0
		:: else
		fi
	};
	if
	:: !vacant -> goto undo
	:: else
	fi;
	leased = 0;
#ifndef NO_PIN
	if
	:: pins != 0 -> leased = 1; goto undo
	:: else
	fi;
#endif
#ifndef NO_AGAIN
	if
	:: mine != 0 -> leased = 1; goto undo
	:: else
	fi;
#endif
	unleased = 1;
	assert(owners == 0 && mine == 0 && free_ == 0);
	goto out;
undo:
	if
	:: vacant -> mine = mine | taken
	:: else
	fi;
	free_ = free_ | taken;
out:
	done++
}

/* When all is over the index is free, or the block has been given back. */
active proctype observer()
{
	(done == 3);
	assert(owners == 0);
	assert(free_ == mine);
	assert(free_ == (!unleased && !skipped))
}
