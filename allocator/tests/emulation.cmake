# What a user-mode emulator cannot serve, and why: left out where the tests run under one, and each
# reported as a skipped test. Seen with qemu-user 7.2. NOUN PROMISE REASON; * is all of a noun. On
# x86-64 an emulated processor also keeps that one's order of reads and writes, so a barrier that is
# missing stays unseen.
set(NO_LIMITS "limits on memory are taken and not kept")
set(NO_ROBUST_FUTEXES "there are no robust futexes")
set(NO_THREADS_IN_CHILDREN "the emulator aborts when a forked child of threads starts a thread")
set(NO_WIPING "nothing is wiped at a fork, though the emulator agreed to (MADV_WIPEONFORK)")
set(EMULATION_CANNOT
    limits * "${NO_LIMITS}, and statm is the emulator's own"
    sandbox * "no filter of system calls can be installed"
    pagemap a_process_with_256_mib_of_address_space_can_fill_96_of_them "${NO_LIMITS}"
    life who_ended_without_telling_is_known_to_have_ended "${NO_ROBUST_FUTEXES}"
    idle a_thread_that_ended_without_telling_leaves_nothing "${NO_ROBUST_FUTEXES}"
    background so_it_does_in_the_child_of_a_fork "${NO_THREADS_IN_CHILDREN}"
    fork a_child_of_a_busy_process_runs_threads "${NO_THREADS_IN_CHILDREN}"
    fork children_fork_too "${NO_THREADS_IN_CHILDREN}"
    fork a_child_that_nobody_announced_starts_afresh_and_keeps_what_it_inherited "${NO_WIPING}"
    fork a_child_that_nobody_announced_waits_for_no_lock_of_another_thread "${NO_WIPING}"
    fork children_of_a_child_that_nobody_announced_fork_either_way "${NO_WIPING}"
    config an_unknown_name_is_one_line_that_names_it_and_those_there_are
    "words of the environment without = are dropped"
    api alignments_beyond_a_gigabyte_hold_or_are_refused
    "24 bytes of notes on each page that was ever mapped, touched or not: 6 MiB a GiB")

# Where kernels of the processor have larger pages than 4 KiB, these run on the largest, too.
set(EMULATION_LARGE_PAGES os span pagemap pages huge dirty)

# Sets `out` to the promises of a noun that are left out, "one,another", and reports them.
function(emulation_cannot noun out)
  set(names "")
  set(rest ${EMULATION_CANNOT})
  while(rest)
    list(POP_FRONT rest of promise reason)
    if(of STREQUAL noun)
      list(APPEND names ${promise})
      set(name "hakmem.test-${noun}: ${promise}: ${reason}")
      add_test(NAME "${name}" COMMAND ${CMAKE_COMMAND} -E echo "emulation cannot")
      set_tests_properties("${name}" PROPERTIES SKIP_REGULAR_EXPRESSION "emulation cannot")
    endif()
  endwhile()
  list(JOIN names "," names)
  set(${out} "${names}" PARENT_SCOPE)
endfunction()
