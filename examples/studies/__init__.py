"""Ready study files; ``redbutton list`` names them and ``redbutton run NAME`` runs one."""
