"""What lies on the robot's computer: files that go into the sandbox of a trial as they are. Data, never imported."""
