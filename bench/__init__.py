"""The command line, the grid, the training and the launchers. The only package that knows the other three.

What users type:

    cli              the entry: one line and an exit code for whatever ends a command
    verbs            the verbs with their options, as Typer reads them
    commands/        a file per verb: run, status, report, check, play, landscape, gap, cost, list,
                     compare, watch, export, import_
    options          the options of `bench run`, from the command line and from a TOML file
    report_options   those of `bench report`
    examples         what stands below the help of a verb
    completion       what a shell completes
    flags            options declared as annotated fields of a dataclass
    grammar          the little languages of options: lists, variants, seeds, values
    errors           mistakes of the user, which end in one line

What is trained:

    resolving        names, fields and keywords -> cells
    profiles         named budgets, and the config fields that go with them
    fields           what the fields of algorithms mean
    controls         what must stand beside a headline
    cells            cells and packs
    packing          seeds -> packs
    grid             the cells and seeds of a command, and how they stand
    spaces           what an agent must know of an environment
    run_directory    finds the folder of a name, and refuses to mix configs in it

Where and how it is trained:

    launch/          launchers: inline, local, slurm
    worker           a pack in a process of its own
    train            the entry of every training: which seeds of a pack, from which step
    training/        the loop, one seed, checkpoints, status, signals
    evaluate         evaluation episodes

What it costs, and where it comes from:

    cost             time, estimated
    disk             disk space, estimated
    memory           memory, estimated, measured and counted
    room             memory and disk that this machine has left
    calibration      what the estimated time is off by on this machine
    forecast         how long packs in training will still take
    estimate         all of that in lines for people, before a training
    provenance       code, packages, hardware and command of a run
    fingerprint      a hash of the source that can change a score
    processor        the processor, as far as it decides the last digits of a number

What is printed and drawn:

    process          the streams of this process: output that fails is dropped
    show             the console, numbers for people, tables of seeds
    progress         the display of a training
    film             an episode as a film
    finished         a finished seed: found, its policies loaded, its evaluations played again
"""
