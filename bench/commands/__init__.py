"""One file per verb of the command line, called as the verb is.

    run        train what is asked for and not done
    status     how every seed stands, and why
    report     write the report of a name
    compare    say if one variant is better than another
    watch      the same again and again while seeds train
    check      judge runs by a baseline
    play       film a policy
    landscape  Q over actions in states that a finished seed visits, as a figure
    gap        how far below the maximum of its own Q each finished policy acts
    cost       what updates and actions compute and take, and how that grows with the number of actors
    list       algorithms, environments and profiles; what fields mean
    export     scores and scalars for other programs
    import_    scores of other programs, into foreign cells

`cli` imports a file only when its verb is used.
"""
