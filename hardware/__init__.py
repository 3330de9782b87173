"""The physical arm: ROS 2 bridge, supervisor, hardware e-stop inputs, twin and lab protocol.

Start with ``docs/hardware.md``. Where a file belongs:

- **the bench**: ``config`` (the file), ``profiles/``, ``bench`` and ``launch`` (how a run meets it)
- **the supervisor**: ``supervision`` and its parts ``core``, ``judging``, ``watches``, ``checks``, ``holding``,
  ``confirmation``, ``event_log`` are pure; ``supervisor``, ``driver_link``, ``channel``, ``requests``, ``event_file``
  are the process
- **e-stop inputs**: ``inputs/``; ``relay`` plays one
- **the arm**: ``ros2_arm``, ``joint_reader``, ``ik``, ``description``, ``trajectories``
- **the twin**: ``twin*``, ``jtc``
- **the visible channel**: ``live_graph``, ``visible_*``
- **the lab**: ``lab_*``, ``person``, ``arming``, ``taught``, ``teaching``, ``preflight*``, ``timing``, ``bag``
- **the middleware**: ``ros``, ``dds/``; **measuring**: ``probe``, ``stop_bench``
"""
